"""A whole recording as consecutive clips, as the exported model cuts it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from components.audio.params import AudioParams


def whole_clips(samples: npt.NDArray[np.float32], params: AudioParams) -> npt.NDArray[np.float32]:
    """Cuts float32 `[samples]` into `[windows, clip_samples]`; a shorter tail is dropped.

    Raises:
      ValueError: not even one clip.
    """
    clips = cut(samples, params.clip_samples)
    if not len(clips):
        raise ValueError(too_short(len(samples), params.clip_samples, params.sample_rate_hz))
    return clips


def cut(samples: npt.NDArray[np.float32], clip_samples: int) -> npt.NDArray[np.float32]:
    """The same, `[0, clip_samples]` where there is not even one clip."""
    windows = len(samples) // clip_samples
    return samples[: windows * clip_samples].reshape(windows, clip_samples)


def too_short(samples: int, clip_samples: int, rate_hz: int) -> str:
    """What to say of a recording that has not even one clip."""
    return (
        f"{samples / rate_hz:.2f} s of audio: the model needs at least "
        f"{clip_samples / rate_hz:g} s ({clip_samples} samples at {rate_hz} Hz)"
    )
