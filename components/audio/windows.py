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
    windows = len(samples) // params.clip_samples
    if windows == 0:
        raise ValueError(
            f"{len(samples) / params.sample_rate_hz:.2f} s of audio: the model needs at least "
            f"{params.clip_seconds:g} s ({params.clip_samples} samples at "
            f"{params.sample_rate_hz} Hz)"
        )
    return samples[: windows * params.clip_samples].reshape(windows, params.clip_samples)
