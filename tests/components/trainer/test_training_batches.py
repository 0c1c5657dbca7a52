"""Tests of batches of clips in memory."""

from __future__ import annotations

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from components.trainer.batches import Batches, Clips
from components.trainer.settings import AugmentationSettings


def _numbered(clips: int) -> Clips:
    return Clips(np.arange(clips, dtype=np.float16)[:, None], np.arange(clips))


def _labels(batches: Batches) -> list[int]:
    return [int(label) for index in range(len(batches)) for label in batches[index][1]]


@hypothesis.given(
    clips=st.integers(1, 40),
    batch_size=st.integers(1, 50),
    shuffle=st.none() | st.tuples(st.integers(-(2**63), 2**63), st.integers(0, 10000)),
)
def test_every_epoch_holds_every_clip_once(
    clips: int, batch_size: int, shuffle: tuple[int, int] | None
) -> None:
    batches = _numbered(clips).batches(batch_size, shuffle=shuffle)
    sizes = [len(batches[index][1]) for index in range(len(batches))]
    assert all(size == batch_size for size in sizes[:-1])
    assert sorted(_labels(batches)) == list(range(clips))


def test_epochs_differ_and_the_seed_decides_them() -> None:
    def epochs(seed: int) -> list[list[int]]:
        return [_labels(_numbered(50).batches(8, shuffle=(seed, epoch))) for epoch in range(3)]

    first = epochs(5)
    assert first == epochs(5)
    assert first != epochs(6)
    assert len({tuple(order) for order in first}) == 3
    assert _labels(_numbered(50).batches(8)) == list(range(50))


def test_inputs_stay_with_their_labels_and_become_float32() -> None:
    inputs, labels = _numbered(20).batches(20, shuffle=(1, 0))[0]
    assert inputs.dtype == np.float32
    np.testing.assert_array_equal(inputs[:, 0], labels)


def test_stored_spectrograms_become_decibels() -> None:
    stored = np.array([[[0, 512, 40960]]], np.uint16)
    inputs, _ = Clips(stored, np.array([0])).batches(4)[0]
    assert inputs.dtype == np.float32
    assert inputs.tolist() == [[[-80.0, -79.0, 0.0]]]


def test_targets_are_one_for_the_label() -> None:
    _, targets = _numbered(3).batches(3, genres=4)[0]
    np.testing.assert_array_equal(targets, np.eye(4)[:3])
    assert targets.dtype == np.float32


def test_a_batch_is_varied_the_same_way_whenever_it_is_asked_for() -> None:
    rng = np.random.default_rng(0)
    clips = Clips(rng.uniform(-80, 0, (12, 8, 10)).astype(np.float16), np.arange(12) % 3)
    settings = AugmentationSettings(time_masks=1, gain_db=3, shift_frames=4, mixup=0.5)

    def batches(epoch: int) -> Batches:
        return clips.batches(4, shuffle=(7, epoch), augmentation=settings, genres=3)

    first, backwards = batches(2), batches(2)
    for index in (2, 0, 1):
        for one, other in zip(first[index], backwards[index], strict=True):
            np.testing.assert_array_equal(one, other)
    assert not np.array_equal(first[0][0], batches(3)[0][0])
    plain = clips.batches(4, shuffle=(7, 2), genres=3)
    assert not np.array_equal(first[0][0], plain[0][0])


def test_a_label_for_each_clip_is_demanded() -> None:
    with pytest.raises(ValueError, match="one label for each clip"):
        Clips(np.zeros((3, 2), np.float32), np.zeros(2, np.int64))
