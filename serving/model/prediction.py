"""What a model says about a recording, wherever the model runs."""

from __future__ import annotations

import abc
import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from components.audio.clips import cut, too_short
from components.audio.decoding.decode import DecodeError, check_finite, resample, to_mono
from components.audio.decoding.decoder import Decoder, InProcessDecoder

# Windows that go to the model at once, so that a long file needs no more memory; fewer where
# clips are very long, for the sake of a message's size (16 MiB).
WINDOWS_PER_CALL = 16
SAMPLES_PER_CALL = 4 << 20

# Called with seconds of the recording done so far, and its length as its header has it.
Progress = Callable[[float, float], None]


@dataclasses.dataclass(frozen=True, eq=False)
class Prediction:
    """What a model says about one recording.

    `path`: the file, "" for samples. `seconds`: length of the whole recording.
    `windows`: how many clips were cut from it, one after the other, of `clip_seconds` each; a
    shorter tail is not looked at. `genres`: in label order. `probabilities`: genre to mean
    over the windows, most probable first, equal ones in label order.
    `window_probabilities`: float32 `[windows, genres]`, in time and label order.
    """

    path: str
    seconds: float
    windows: int
    clip_seconds: float
    genres: tuple[str, ...]
    probabilities: dict[str, float]
    window_probabilities: npt.NDArray[np.float32]


class GenreModel(abc.ABC):
    """A model that is asked for genres: one in this process, or one at a server.

    Several threads may ask it, each with a decoder of its own.

    Attributes:
      genres: in label order.
      sample_rate_hz: of the mono audio that it takes.
      clip_samples: length of one window at that rate.
      model_card: what is known of how it was made; JSON values.
    """

    genres: tuple[str, ...]
    sample_rate_hz: int
    clip_samples: int
    model_card: Mapping[str, Any]

    def __init__(self, decoder: Decoder | None = None) -> None:
        """`decoder` reads the audio files; None is one in this process."""
        self._decoder = decoder or InProcessDecoder()

    @abc.abstractmethod
    def predict_windows(self, windows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """float32 `[windows, clip_samples]` to probabilities float32 `[windows, genres]`."""

    def close(self) -> None:  # noqa: B027  one in this process holds nothing
        """Lets go of what the model holds; what is being asked may fail."""

    @property
    def windows_per_call(self) -> int:
        """How many windows go to the model at once."""
        return max(1, min(WINDOWS_PER_CALL, SAMPLES_PER_CALL // self.clip_samples))

    def predict_file(
        self,
        path: str | pathlib.Path,
        *,
        decoder: Decoder | None = None,
        on_progress: Progress | None = None,
    ) -> Prediction:
        """Decodes a file (mp3, wav, au, flac, ogg), cuts it into clips and asks the model.

        The file is read and asked about part by part: memory does not grow with its length,
        but for the answers themselves.

        Args:
          path: the audio file.
          decoder: reads this file instead of the model's own.
          on_progress: called as the file is worked through.

        Raises:
          DecodeError: the file is not audio that can be used, or is shorter than one clip
            ("too_short").
        """
        matrices = []
        samples, seconds = 0, 0.0
        stream = (decoder or self._decoder).stream(
            path, self.sample_rate_hz, self.windows_per_call * self.clip_samples
        )
        for part in stream:
            windows = cut(part.samples, self.clip_samples)
            if len(windows):
                matrices.append(self.predict_windows(windows))
            samples, seconds = samples + len(part.samples), part.seconds
            if on_progress:
                on_progress(part.seconds, part.claimed_seconds)
        return self._prediction(str(path), seconds, samples, matrices)

    def predict_waveform(
        self, samples: npt.NDArray[np.floating[Any]], sample_rate_hz: int
    ) -> Prediction:
        """The same for samples in memory.

        Args:
          samples: `[samples]` or `[samples, channels]`, full scale 1.0.
          sample_rate_hz: theirs; they are resampled to the model's.

        Raises:
          DecodeError: they are shorter than one clip ("too_short"), or not finite or far
            beyond full scale ("not_finite").
          ValueError: another shape, or not of floats (integers would be far beyond full scale).
        """
        given = np.asarray(samples)
        if given.dtype.kind != "f" or given.ndim not in (1, 2) or 0 in given.shape[1:]:
            raise ValueError(
                f"{given.dtype} {list(given.shape)}: samples must be floats within [-1, 1], "
                "[samples] or [samples, channels]"
            )
        if sample_rate_hz <= 0:
            raise ValueError(f"a sample rate of {sample_rate_hz} Hz")
        mono = to_mono(given.reshape(len(given), -1).astype(np.float32))
        check_finite(mono)
        at_rate = resample(mono, sample_rate_hz, self.sample_rate_hz)
        windows = cut(at_rate, self.clip_samples)
        matrices = [
            self.predict_windows(windows[start : start + self.windows_per_call])
            for start in range(0, len(windows), self.windows_per_call)
        ]
        return self._prediction("", len(given) / sample_rate_hz, len(at_rate), matrices)

    def _prediction(
        self,
        path: str,
        seconds: float,
        samples: int,
        matrices: list[npt.NDArray[np.float32]],
    ) -> Prediction:
        if not matrices:
            reason = too_short(samples, self.clip_samples, self.sample_rate_hz)
            raise DecodeError("too_short", reason)
        matrix = np.concatenate(matrices)
        mean = matrix.mean(axis=0, dtype=np.float64)
        order = np.argsort(-mean, kind="stable")
        return Prediction(
            path=path,
            seconds=seconds,
            windows=len(matrix),
            clip_seconds=self.clip_samples / self.sample_rate_hz,
            genres=self.genres,
            probabilities={self.genres[index]: float(mean[index]) for index in order},
            window_probabilities=matrix,
        )
