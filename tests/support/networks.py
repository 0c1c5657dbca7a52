"""Small inputs of each network: for tests that build all of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from components.audio.params import AudioParams
from components.models import architectures

# Mel bands and frames, for networks that take any.
SMALL = (16, 20)


def audio_of(name: str, otherwise: AudioParams | None = None) -> AudioParams:
    """Return audio parameters that a network takes.

    Args:
      name: the network.
      otherwise: parameters for networks that take any; None for the default ones.
    """
    front_end = architectures.NETWORKS[name].front_end
    return AudioParams.of_front_end(front_end) if front_end else otherwise or AudioParams()


def size_of(name: str, otherwise: tuple[int, int] = SMALL) -> tuple[int, int]:
    """Return the mel bands and frames of spectrograms that a network takes."""
    if architectures.NETWORKS[name].front_end is None:
        return otherwise
    audio = audio_of(name)
    return audio.n_mels, audio.frames


def image_size_of(name: str) -> int:
    """Return the smallest `image_size` of a network; 0 for one that takes spectrograms."""
    return architectures.NETWORKS[name].min_side_pixels or 0


def noise(clips: int, size: tuple[int, int] = SMALL) -> npt.NDArray[np.float32]:
    """Return clips of random levels, float32 `[clips, n_mels, frames]`."""
    return np.random.default_rng(0).uniform(-80, 0, (clips, *size)).astype(np.float32)
