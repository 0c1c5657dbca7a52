"""Random variations of spectrograms, on batches of arrays. No TensorFlow, no Keras."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from components.audio.front_ends.front_end import DYNAMIC_RANGE_DB
from components.trainer.settings import AugmentationSettings

Spectrograms = npt.NDArray[np.float32]


def augment(
    mel_db: Spectrograms, settings: AugmentationSettings, rng: np.random.Generator
) -> Spectrograms:
    """Vary each clip on its own, by everything but mixup.

    Args:
      mel_db: float32 `[clips, n_mels, frames]` in [-80, 0] dB; not changed.
      settings: the variations and their strengths.
      rng: makes all random decisions.

    Returns:
      float32 of the same shape, in [-80, 0].
    """
    varied = mel_db
    if settings.shift_frames:
        varied = _shift(varied, settings.shift_frames, rng)
    if settings.gain_db:
        gain_db = rng.uniform(-settings.gain_db, settings.gain_db, (len(varied), 1, 1))
        varied = np.clip(varied + gain_db.astype(np.float32), -DYNAMIC_RANGE_DB, 0)
    if settings.frequency_masks or settings.time_masks:
        masked = _stripes(
            varied, 1, settings.frequency_masks, settings.frequency_mask_bands, rng
        ) | _stripes(varied, 2, settings.time_masks, settings.time_mask_frames, rng)
        varied = np.where(masked, varied.mean(axis=(1, 2), keepdims=True), varied)
    return np.asarray(varied, np.float32)


def mix(
    inputs: npt.NDArray[np.float32],
    targets: npt.NDArray[np.float32],
    alpha: float,
    rng: np.random.Generator,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Mix each clip, and its targets, with another of its batch (mixup, arXiv:1710.09412).

    Args:
      inputs: float32 `[clips, ...]`.
      targets: float32 `[clips, genres]`.
      alpha: above 0; shares are drawn from Beta(alpha, alpha).
    """
    share = rng.beta(alpha, alpha, len(inputs)).astype(np.float32)
    share = np.maximum(share, 1 - share)  # the clip itself keeps the larger share
    partner = rng.permutation(len(inputs))

    def blend(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        by_clip = share.reshape(-1, *[1] * (values.ndim - 1))
        return by_clip * values + (1 - by_clip) * values[partner]

    return blend(inputs), blend(targets)


def _shift(mel_db: Spectrograms, max_frames: int, rng: np.random.Generator) -> Spectrograms:
    clips, _, frames = mel_db.shape
    offsets = rng.integers(-max_frames, max_frames, clips, endpoint=True)
    columns = (np.arange(frames) - offsets[:, np.newaxis]) % frames
    return np.take_along_axis(mel_db, columns[:, np.newaxis, :], axis=2)


def _stripes(
    mel_db: Spectrograms, axis: int, count: int, max_width: int, rng: np.random.Generator
) -> npt.NDArray[np.bool_]:
    """Return a mask of `count` stripes of up to `max_width` rows (axis 1) or columns (axis 2)."""
    clips, length = len(mel_db), mel_db.shape[axis]
    position = np.arange(length)
    covered = np.zeros((clips, length), bool)
    for _ in range(count):
        width = rng.integers(0, min(max_width, length), clips, endpoint=True)
        first = np.floor(rng.random(clips) * (length - width + 1)).astype(int)
        covered |= (position >= first[:, np.newaxis]) & (position < (first + width)[:, np.newaxis])
    shape: tuple[Any, ...] = (clips, length, 1) if axis == 1 else (clips, 1, length)
    return covered.reshape(shape)
