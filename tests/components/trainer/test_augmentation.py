"""Random variations of spectrograms."""

from __future__ import annotations

import hypothesis
import hypothesis.strategies as st
import numpy as np
import numpy.typing as npt
import pytest

from components.trainer.augmentation import augment, mix
from components.trainer.settings import AugmentationSettings


def _mel_db(clips: int = 200, n_mels: int = 24, frames: int = 30) -> npt.NDArray[np.float32]:
    rng = np.random.default_rng(1)
    return rng.uniform(-79, -1, (clips, n_mels, frames)).astype(np.float32)


def _augment(mel_db: npt.NDArray[np.float32], seed: int = 0, **settings: float) -> npt.NDArray:
    return augment(mel_db, AugmentationSettings(**settings), np.random.default_rng(seed))


@hypothesis.given(
    clips=st.integers(1, 5),
    n_mels=st.integers(1, 20),
    frames=st.integers(1, 20),
    settings=st.builds(
        AugmentationSettings,
        frequency_masks=st.integers(0, 3),
        frequency_mask_bands=st.integers(1, 30),
        time_masks=st.integers(0, 3),
        time_mask_frames=st.integers(1, 30),
        gain_db=st.floats(0, 40),
        shift_frames=st.integers(0, 40),
    ),
    seed=st.integers(0, 2**32),
)
def test_any_setting_gives_spectrograms_of_the_same_kind(
    clips: int, n_mels: int, frames: int, settings: AugmentationSettings, seed: int
) -> None:
    mel_db = _mel_db(clips, n_mels, frames)
    given = mel_db.copy()
    varied = augment(mel_db, settings, np.random.default_rng(seed))
    assert (varied.shape, varied.dtype) == (mel_db.shape, np.float32)
    assert varied.min() >= -80
    assert varied.max() <= 0
    np.testing.assert_array_equal(mel_db, given)
    again = augment(mel_db, settings, np.random.default_rng(seed))
    np.testing.assert_array_equal(varied, again)


def test_off_changes_nothing() -> None:
    np.testing.assert_array_equal(_augment(_mel_db()), _mel_db())
    assert not AugmentationSettings().any


@pytest.mark.parametrize(
    ("setting", "width", "axis"),
    [("frequency_masks", "frequency_mask_bands", 1), ("time_masks", "time_mask_frames", 2)],
)
def test_a_mask_is_one_stripe_of_the_mean_level(setting: str, width: str, axis: int) -> None:
    mel_db = _mel_db()
    varied = _augment(mel_db, **{setting: 1, width: 5})
    changed = (varied != mel_db).any(axis=3 - axis)
    np.testing.assert_array_equal(changed, (varied != mel_db).all(axis=3 - axis))
    widths = changed.sum(axis=1)
    assert set(widths) == {0, 1, 2, 3, 4, 5}
    for row in changed[widths > 0]:
        first = int(np.argmax(row))
        assert row[first : first + row.sum()].all()
    # Every place is reached, the ends too.
    assert changed.any(axis=0).all()
    masked = varied[varied != mel_db]
    clip_of = np.broadcast_to(mel_db.mean(axis=(1, 2))[:, None, None], mel_db.shape)
    np.testing.assert_allclose(masked, clip_of[varied != mel_db], rtol=1e-5)


def test_a_shift_turns_the_clip_round_by_a_whole_number_of_frames() -> None:
    mel_db = _mel_db()
    varied = _augment(mel_db, shift_frames=3)
    offsets = set()
    for one, other in zip(mel_db, varied, strict=True):
        found = [k for k in range(-3, 4) if np.array_equal(np.roll(one, k, axis=1), other)]
        assert len(found) == 1
        offsets.add(found[0])
    assert offsets == {-3, -2, -1, 0, 1, 2, 3}


def test_a_gain_is_one_level_a_clip_within_the_range() -> None:
    mel_db = np.full((500, 2, 3), -40, np.float32)
    difference = _augment(mel_db, gain_db=6.0) + 40
    assert (difference == difference[:, :1, :1]).all()
    assert -6 <= difference.min() < -5 < 5 < difference.max() <= 6


@hypothesis.given(alpha=st.floats(0.05, 5), seed=st.integers(0, 2**32))
def test_mixup_blends_inputs_and_targets_in_the_same_share(alpha: float, seed: int) -> None:
    # Inputs that are their own targets show the share.
    targets = np.eye(6, dtype=np.float32)[np.arange(12) % 6]
    inputs, mixed = mix(targets.copy(), targets, alpha, np.random.default_rng(seed))
    np.testing.assert_array_equal(inputs, mixed)
    np.testing.assert_allclose(mixed.sum(axis=1), 1, rtol=1e-5)
    assert (mixed[np.arange(12), np.arange(12) % 6] >= 0.5 - 1e-6).all()


def test_mixup_really_mixes() -> None:
    targets = np.eye(4, dtype=np.float32)[np.arange(100) % 4]
    _, mixed = mix(targets, targets, 0.5, np.random.default_rng(0))
    assert ((mixed > 0.01).sum(axis=1) == 2).sum() > 30
