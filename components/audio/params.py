"""The audio parameters, on which everything downstream depends, and their hash."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Annotated, Any

from annotated_types import Ge, Gt, Le

# Part of the hash. Increase it with every change to the computation of the spectrogram, so that
# artifacts of different versions never mix.
FRONT_END_VERSION = 2

# Power mel spectrogram as librosa's defaults make it, in dB relative to the clip's
# peak; librosa.power_to_db's amin and top_db.
POWER_FLOOR = 1e-10
DYNAMIC_RANGE_DB = 80.0

# Full scale is 1. Far above it the power overflows float32, and the spectrogram would still look
# normal. 16-bit integers sent as floats are below this limit and give the right spectrogram.
MAX_SAMPLE = 1e6


@dataclasses.dataclass(frozen=True)
class AudioParams:
    """Parameters of the log-mel spectrogram. Derived numbers are properties.

    Fixed parts, covered by FRONT_END_VERSION: Slaney mel scale and norm, Hann window,
    centred frames with zero padding, 0 Hz to half the sample rate, dB relative to the
    clip's peak with a floor 80 dB below it, soxr HQ resampling, channels averaged.
    """

    sample_rate_hz: Annotated[int, Ge(4000), Le(192000)] = 22050
    fft_samples: Annotated[int, Ge(64), Le(16384)] = 2048
    hop_samples: Annotated[int, Ge(16), Le(16384)] = 512
    n_mels: Annotated[int, Ge(8), Le(512)] = 128
    clip_seconds: Annotated[float, Gt(0), Le(120)] = 2.0
    clips_per_track: Annotated[int, Ge(1), Le(100)] = 4

    def __post_init__(self) -> None:
        if self.fft_samples % 2:
            raise ValueError(
                f"fft_samples = {self.fft_samples} is odd; centred frames need an even number"
            )
        if self.hop_samples > self.fft_samples:
            raise ValueError(
                f"hop_samples = {self.hop_samples} skips audio: it must be at most "
                f"fft_samples = {self.fft_samples}"
            )
        if self.clip_samples < self.fft_samples:
            raise ValueError(
                f"clip_seconds = {self.clip_seconds} is shorter than one FFT of "
                f"{self.fft_samples} samples at {self.sample_rate_hz} Hz"
            )

    @property
    def clip_samples(self) -> int:
        """The samples in one clip."""
        return round(self.clip_seconds * self.sample_rate_hz)

    @property
    def frames(self) -> int:
        """The spectrogram frames in one clip: centred, so one more than whole hops."""
        return 1 + self.clip_samples // self.hop_samples

    @property
    def mel_bytes(self) -> int:
        """The bytes of one stored `mel_db` array, uint16 `[n_mels, frames]`."""
        return 2 * self.n_mels * self.frames

    def to_json(self) -> dict[str, Any]:
        """Return the parameters as plain values, for model assets and artifacts."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> AudioParams:
        """Return the parameters from `to_json`'s values.

        Raises:
          ValueError: a key is unknown or missing.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        if set(values) != names:
            raise ValueError(f"audio parameters need exactly {sorted(names)}, got {sorted(values)}")
        return cls(**values)

    def digest(self) -> str:
        """Return 16 hex digits that identify the parameters and FRONT_END_VERSION."""
        text = json.dumps({"front_end": FRONT_END_VERSION, **self.to_json()}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]
