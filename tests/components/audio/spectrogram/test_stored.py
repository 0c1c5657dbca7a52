"""Spectrograms stored in whole steps of 1/512 dB."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from components.audio.spectrogram import mel_graph
from components.audio.spectrogram.stored import from_stored, to_stored
from components.examples import parser


def test_the_ends_of_the_range_are_exact() -> None:
    stored = to_stored(np.array([-80.0, -40.0, 0.0], np.float32))
    assert stored.dtype == np.uint16
    assert stored.tolist() == [0, 20480, 40960]
    assert from_stored(stored).tolist() == [-80.0, -40.0, 0.0]


def test_rounding_moves_a_level_by_half_a_step_at_most() -> None:
    levels = np.linspace(-80, 0, 1_000_001, dtype=np.float32)
    # The sum with 80 is rounded to float32 as well, by at most 4e-6.
    assert np.abs(from_stored(to_stored(levels)) - levels).max() <= 1 / 1024 + 4e-6


def test_every_step_reads_back_as_itself_here_and_in_a_graph() -> None:
    every = np.arange(40961, dtype=np.uint16)
    expected = [step / 512 - 80 for step in range(40961)]
    assert from_stored(every).dtype == np.float32
    assert from_stored(every).tolist() == expected
    np.testing.assert_array_equal(to_stored(from_stored(every)), every)
    for compiled in (False, True):
        in_graph = tf.function(parser.from_stored, jit_compile=compiled)
        np.testing.assert_array_equal(in_graph(every).numpy(), from_stored(every))


def test_the_graph_rounds_as_storing_does() -> None:
    halves = (np.arange(81921) / 1024 - 80).astype(np.float32)
    levels = np.concatenate([halves, np.linspace(-80, 0, 100_003, dtype=np.float32)])
    expected = from_stored(to_stored(levels))
    for compiled in (False, True):
        in_graph = tf.function(mel_graph.stored_rounding, jit_compile=compiled)
        np.testing.assert_array_equal(in_graph(levels).numpy(), expected)
