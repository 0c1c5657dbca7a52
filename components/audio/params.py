"""The audio parameters, on which everything downstream depends, and their hash."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le

from components.audio.front_ends import registry
from components.audio.front_ends.front_end import FrontEnd
from components.audio.front_ends.mel_db import MelDb

# Fields that models exported by earlier versions lack. Their defaults are what those models had.
_ADDED = ("front_end", "evaluation_clips")

# The most windows of a track to evaluate: ten minutes at 2 s, so that an hour's mix takes no more
# memory and disk than a long song (7 MB as stored).
MAX_EVALUATION_CLIPS = 300


@dataclasses.dataclass(frozen=True)
class AudioParams:
    """Parameters of the log-mel spectrogram. Derived numbers are properties.

    Fixed parts, covered by the front end's version: Slaney mel scale and norm, Hann window,
    centred frames with zero padding, 0 Hz to half the sample rate, soxr HQ resampling, channels
    averaged.

    Attributes:
      front_end: name of the rule for levels: "mel_db" (librosa's decibels) or "musicnn". One that
        fixes other parameters accepts no other values of them, and fills them in.
      sample_rate_hz: rate of the mono mix.
      fft_samples: length of the Fourier transform and its window.
      hop_samples: distance between frames.
      n_mels: number of mel bands.
      clip_seconds: length of a clip.
      clips_per_track: number of random clips that are cut from a track.
      evaluation_clips: clips of a validation or test track: at most so many of the consecutive
        windows that prediction cuts, evenly spaced; "all" is the most, 300. None for
        random clips, as for training. It is no part of `digest`, because it changes what a model
        is judged by and not what it hears.

    Raises:
      ValueError: the parameters contradict each other, or the front end.
    """

    sample_rate_hz: Annotated[int, Ge(4000), Le(192000)] = 22050
    fft_samples: Annotated[int, Ge(64), Le(16384)] = 2048
    hop_samples: Annotated[int, Ge(16), Le(16384)] = 512
    n_mels: Annotated[int, Ge(8), Le(512)] = 128
    clip_seconds: Annotated[float, Gt(0), Le(120)] = 2.0
    clips_per_track: Annotated[int, Ge(1), Le(100)] = 4
    front_end: str = MelDb.name
    evaluation_clips: Literal["all"] | Annotated[int, Ge(1), Le(MAX_EVALUATION_CLIPS)] | None = None

    def __post_init__(self) -> None:
        others = [
            f"{name} = {given}: the front end {self.front_end!r} fixes it at {fixed}; remove it"
            for name, fixed in self.front.fixed.items()
            if (given := getattr(self, name)) != fixed
        ]
        if others:
            raise ValueError("\n".join(others))
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

    @classmethod
    def of_front_end(cls, name: str, **others: Any) -> AudioParams:
        """Return the parameters that a front end fixes, with others by name or by default.

        Raises:
          ValueError: the front end is unknown, or fixes one of the others at another value.
        """
        return cls(**{**registry.of_name(name).fixed, **others, "front_end": name})

    @property
    def front(self) -> FrontEnd:
        """The front end itself."""
        return registry.of_name(self.front_end)

    @property
    def max_sample(self) -> float:
        """The largest absolute value of a sample; full scale is 1."""
        return self.front.max_sample

    @property
    def clip_samples(self) -> int:
        """The samples in one clip."""
        return round(self.clip_seconds * self.sample_rate_hz)

    @property
    def frames(self) -> int:
        """The spectrogram frames in one clip."""
        return self.front.frames(self.clip_samples, self.fft_samples, self.hop_samples)

    @property
    def mel_bytes(self) -> int:
        """The bytes of one stored `mel_db` array, uint16 `[n_mels, frames]`."""
        return 2 * self.n_mels * self.frames

    def to_json(self) -> dict[str, Any]:
        """Return the parameters as plain values, for model assets and artifacts."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> AudioParams:
        """Return the parameters from `to_json`'s values, or from those of an earlier version.

        Raises:
          ValueError: a key is unknown or missing, or the values contradict each other.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        if set(values) | set(_ADDED) != names:
            raise ValueError(f"audio parameters need exactly {sorted(names)}, got {sorted(values)}")
        return cls(**values)

    def digest(self) -> str:
        """Return 16 hex digits that identify the parameters and the front end's version."""
        values = {**self.to_json(), "front_end": self.front.version}
        del values["evaluation_clips"]
        text = json.dumps(values, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]
