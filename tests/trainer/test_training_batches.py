"""Batches of clips in memory."""

from __future__ import annotations

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from components.trainer.batches import Batches, Clips


def _numbered(clips: int) -> Clips:
    return Clips(np.arange(clips, dtype=np.float16)[:, None], np.arange(clips))


def _labels(batches: Batches) -> list[int]:
    return [int(label) for index in range(len(batches)) for label in batches[index][1]]


@hypothesis.given(
    clips=st.integers(1, 40),
    batch_size=st.integers(1, 50),
    seed=st.none() | st.integers(-(2**63), 2**63),
)
def test_every_epoch_holds_every_clip_once(clips: int, batch_size: int, seed: int | None) -> None:
    batches = Batches(_numbered(clips), batch_size, shuffle_seed=seed)
    for _ in range(2):
        sizes = [len(batches[index][1]) for index in range(len(batches))]
        assert all(size == batch_size for size in sizes[:-1])
        assert sorted(_labels(batches)) == list(range(clips))
        batches.on_epoch_end()


def test_epochs_differ_and_the_seed_decides_them() -> None:
    def epochs(seed: int | None) -> list[list[int]]:
        batches = Batches(_numbered(50), 8, shuffle_seed=seed)
        orders = []
        for _ in range(3):
            orders.append(_labels(batches))
            batches.on_epoch_end()
        return orders

    first = epochs(5)
    assert first == epochs(5)
    assert first != epochs(6)
    assert len({tuple(order) for order in first}) == 3
    assert epochs(None) == [list(range(50))] * 3


def test_inputs_stay_with_their_labels_and_become_float32() -> None:
    inputs, labels = Batches(_numbered(20), 20, shuffle_seed=1)[0]
    assert inputs.dtype == np.float32
    np.testing.assert_array_equal(inputs[:, 0], labels)


def test_stored_spectrograms_become_decibels() -> None:
    stored = np.array([[[0, 512, 40960]]], np.uint16)
    inputs, _ = Batches(Clips(stored, np.array([0])), 4)[0]
    assert inputs.dtype == np.float32
    assert inputs.tolist() == [[[-80.0, -79.0, 0.0]]]


def test_a_label_for_each_clip_is_demanded() -> None:
    with pytest.raises(ValueError, match="one label for each clip"):
        Clips(np.zeros((3, 2), np.float32), np.zeros(2, np.int64))
