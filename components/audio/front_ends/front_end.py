"""The interface of front ends, and the range of levels that all of them share. Light."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

# Levels lie between -80 dB and 0 dB. So spectrograms of all front ends have the same stored form,
# colours, schema and checks.
DYNAMIC_RANGE_DB = 80.0

# Far above full scale the power overflows float32, and a spectrogram would still look normal.
# 16-bit integers as floats are below this limit.
MAX_SAMPLE = 1e6


class FrontEnd(abc.ABC):
    """Rule that turns mel power into levels, and the audio parameters that it fixes.

    The power itself is common to all: a power mel spectrogram by librosa's defaults (Slaney scale
    and norm, Hann window, centred frames with zero padding, 0 Hz to half the sample rate). Full
    scale of a waveform is 1.

    Attributes:
      name: the value of `AudioParams.front_end`.
      version: part of the parameters' hash. Change it with every change to the computation, so
        that artifacts of different versions never mix.
      fixed: audio parameters that cannot be set otherwise, by name.
      max_sample: largest absolute value of a sample, at most MAX_SAMPLE.
      zero_db: the level of 0 dB in words, for the axis of a picture.
    """

    name: ClassVar[str]
    version: ClassVar[int | str]
    fixed: ClassVar[Mapping[str, int | float]] = {}
    max_sample: ClassVar[float] = MAX_SAMPLE
    zero_db: ClassVar[str]

    def frames(self, clip_samples: int, fft_samples: int, hop_samples: int) -> int:
        """Return the frames of one clip: centred frames, one more than whole hops."""
        return 1 + clip_samples // hop_samples

    @abc.abstractmethod
    def levels(self, power: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Convert power `[clips, n_mels, frames]` to levels in [-80, 0] dB, of the same shape."""

    @abc.abstractmethod
    def graph_levels(self, tf: Any, power: Any) -> Any:
        """Convert power to levels in a graph: the twin of `levels`.

        Args:
          tf: the TensorFlow module, which a front end does not import itself.
          power: float32 `[clips, a, b]`; the order of the last two axes does not matter.
        """
