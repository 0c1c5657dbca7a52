"""Audio as the models hear it: samples, windows and mel spectrograms of one recording."""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np
import numpy.typing as npt

from components.audio.clips import cut
from components.audio.decoding.decode import decode, resample
from components.audio.params import AudioParams
from components.audio.spectrogram.mel import log_mel


@dataclasses.dataclass(frozen=True, eq=False)
class Sound:
    """Recording at a model's sample rate.

    Attributes:
      samples: float32 `[samples]`, mono, full scale 1.0.
      params: the parameters of its spectrograms; `params.sample_rate_hz` is the samples' rate.
    """

    samples: npt.NDArray[np.float32]
    params: AudioParams

    @property
    def seconds(self) -> float:
        """The length in seconds."""
        return len(self.samples) / self.params.sample_rate_hz

    def windows(self) -> npt.NDArray[np.float32]:
        """Return the consecutive windows that prediction cuts: float32 `[windows, clip_samples]`.

        A shorter tail is dropped; a recording that is shorter than one window has none.
        """
        return cut(self.samples, self.params.clip_samples)

    def spectrograms(self) -> npt.NDArray[np.float32]:
        """Return the windows' mel spectrograms in dB: float32 `[windows, n_mels, frames]`."""
        return log_mel(self.windows(), self.params)


def read_sound(path: str | pathlib.Path, params: AudioParams | None = None) -> Sound:
    """Read a whole recording into memory, in any format that prediction reads.

    Args:
      path: the audio file.
      params: of the spectrograms, such as `LocalModel.params`; None for the defaults.

    Raises:
      DecodeError: the file is not usable audio.
    """
    params = params or AudioParams()
    samples, rate_hz = decode(path)
    return Sound(resample(samples, rate_hz, params.sample_rate_hz), params)
