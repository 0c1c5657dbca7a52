"""Predictions for recordings, whether the model runs in this process or at a server."""

from __future__ import annotations

import abc
import dataclasses
import itertools
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from components.audio import levels
from components.audio.clips import cut, too_short
from components.audio.decoding.decode import (
    DecodeError,
    check_finite,
    refuse,
    resample,
    to_mono,
)
from components.audio.decoding.decoder import Decoder, InProcessDecoder
from components.audio.decoding.faults import Fault
from components.audio.front_ends.front_end import MAX_SAMPLE

# Windows in one call of the model, so that a long file needs no more memory than a short one.
# Very long clips make it fewer, so that a message stays below 16 MiB.
MAX_WINDOWS_PER_CALL = 16
MAX_SAMPLES_PER_CALL = 4 << 20

# Called with the seconds processed so far, and the recording's length by its header, in seconds,
# or None if the header does not say it.
Progress = Callable[[float, float | None], None]


def windows_per_call(clip_samples: int) -> int:
    """Return the number of windows in one call of a model that takes windows of this length."""
    return max(1, min(MAX_WINDOWS_PER_CALL, MAX_SAMPLES_PER_CALL // clip_samples))


@dataclasses.dataclass(frozen=True)
class TimelineSegment:
    """Consecutive windows with the same most probable genre, or left out for the same reason.

    Attributes:
      start_s: start of the segment in seconds.
      end_s: end of the segment in seconds.
      genre: the most probable genre of every window; None if they are left out.
      probability: mean probability of that genre over the windows; None if they are left out.
      left_out: why they are left out, as in `Prediction.left_out`.
    """

    start_s: float
    end_s: float
    genre: str | None
    probability: float | None
    left_out: str = levels.HEARD


@dataclasses.dataclass(frozen=True, eq=False)
class Prediction:
    """Prediction for one recording.

    The recording is cut into consecutive windows of one clip each; a shorter tail is dropped.
    Windows that training would leave out are left out: they have no genre.

    Attributes:
      path: the file; "" for samples in memory.
      seconds: length of the whole recording in seconds.
      windows: number of windows, with those that are left out.
      clip_seconds: length of a window in seconds.
      genres: the genres in label order.
      probabilities: mean over the windows that count by genre, the most probable first; genres
        with equal means are in label order.
      window_probabilities: float32 `[windows, genres]`, in order of time and label; all 0 in the
        row of a window that is left out.
      left_out: for each window why it is left out, "near_silent" or "channels_cancel"; "" if it
        counts (components.audio.levels).
      warnings: sentences for a person about a file that is not as it should be: what was used of
        it, and what to do. Empty for most files.
    """

    path: str
    seconds: float
    windows: int
    clip_seconds: float
    genres: tuple[str, ...]
    probabilities: dict[str, float]
    window_probabilities: npt.NDArray[np.float32]
    left_out: tuple[str, ...]
    warnings: tuple[str, ...] = ()

    def timeline(self) -> list[TimelineSegment]:
        """Return the genre over time, with consecutive windows of the same genre joined.

        If genres are equally probable in a window, the first in label order counts.
        """
        matrix, clip_s = self.window_probabilities, self.clip_seconds
        kinds = list(zip(self.left_out, matrix.argmax(axis=1).tolist(), strict=True))
        segments = []
        for (left_out, label), group in itertools.groupby(range(len(kinds)), kinds.__getitem__):
            windows = list(group)
            heard = left_out == levels.HEARD
            segments.append(
                TimelineSegment(
                    start_s=windows[0] * clip_s,
                    end_s=(windows[-1] + 1) * clip_s,
                    genre=self.genres[label] if heard else None,
                    probability=float(matrix[windows, label].mean(dtype=float)) if heard else None,
                    left_out=left_out,
                )
            )
        return segments


@dataclasses.dataclass(frozen=True, eq=False)
class WindowResults:
    """Results of consecutive windows.

    Attributes:
      probabilities, left_out: as in Prediction.
      power: mean square of each window.
    """

    probabilities: npt.NDArray[np.float32]
    left_out: tuple[str, ...]
    power: npt.NDArray[np.float64]


class GenreModel(abc.ABC):
    """Base class of models that predict genres: `LocalModel` and `GenreClient`.

    Several threads may share a model, if each passes a decoder of its own to `predict_file`.

    Attributes:
      genres: the genres in label order.
      sample_rate_hz: sample rate of the mono audio that the model takes, in Hz.
      clip_samples: length of one window, in samples at that rate.
      model_card: description of how the model was made; JSON values.
      max_sample: largest absolute value of a sample that it takes, as far as that is known here;
        full scale is 1.
    """

    max_sample: float = MAX_SAMPLE
    genres: tuple[str, ...]
    sample_rate_hz: int
    clip_samples: int
    model_card: Mapping[str, Any]

    def __init__(self, decoder: Decoder | None = None) -> None:
        """Initialize the model.

        Args:
          decoder: reads the audio files; None for one in this process.
        """
        self._decoder = decoder or InProcessDecoder()

    @abc.abstractmethod
    def predict_windows(self, windows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Predict the genres of windows.

        Args:
          windows: mono audio, full scale 1.0, float32 `[windows, clip_samples]`.

        Returns:
          Probabilities, float32 `[windows, genres]`. Each row sums to 1, or is all 0 if the model
          leaves the window out as near silent; models that were exported by earlier versions
          leave out none.
        """

    def close(self) -> None:  # noqa: B027  a local model holds nothing
        """Release connections; predictions in progress may fail."""

    @property
    def windows_per_call(self) -> int:
        """Return the number of windows in one call of the model."""
        return windows_per_call(self.clip_samples)

    def predict_file(
        self,
        path: str | pathlib.Path,
        *,
        decoder: Decoder | None = None,
        on_progress: Progress | None = None,
    ) -> Prediction:
        """Predict the genres of an audio file of any format that is read here.

        The file is read part by part, so that memory does not grow with its length, except for
        the probabilities of each window, and for an mp3 without the right number of frames (twice
        its size). A file of which only a part can be read, such as a
        truncated one, is predicted from that part, and `warnings` say so.

        Args:
          path: the audio file.
          decoder: reads this file in place of the model's own decoder.
          on_progress: called after each part.

        Raises:
          DecodeError: the file is not usable audio, what can be read of it is shorter than one
            clip, or no window counts ("near_silent" or "channels_cancel").
        """
        results = []
        samples, seconds = 0, 0.0
        faults: tuple[Fault, ...] = ()
        stream = (decoder or self._decoder).stream(
            path, self.sample_rate_hz, self.clip_samples, self.windows_per_call
        )
        for part in stream:
            windows = cut(part.samples, self.clip_samples)
            if len(windows):
                results.append(self._predict_audible(windows, part.cancelled))
            samples, seconds, faults = samples + len(part.samples), part.seconds, part.faults
            if on_progress:
                on_progress(part.seconds, part.claimed_seconds)
        return self._prediction(str(path), seconds, samples, results, faults)

    def predict_waveform(
        self, samples: npt.NDArray[np.floating[Any]], sample_rate_hz: int
    ) -> Prediction:
        """Predict the genres of audio in memory.

        Args:
          samples: floats, full scale 1.0, `[samples]` or `[samples, channels]`. Channels are
            averaged.
          sample_rate_hz: their sample rate in Hz; they are resampled to the model's.

        Raises:
          DecodeError: the samples are shorter than one clip ("too_short"), not finite or far
            beyond full scale ("not_finite"), or no window counts ("near_silent" or
            "channels_cancel").
          ValueError: the array has another shape or is not of floats, or the rate is not
            positive.
        """
        given = np.asarray(samples)
        if given.dtype.kind != "f" or given.ndim not in (1, 2) or 0 in given.shape[1:]:
            raise ValueError(
                f"samples are {given.dtype} {list(given.shape)}; they must be floats within "
                "[-1, 1], of shape [samples] or [samples, channels]"
            )
        if sample_rate_hz <= 0:
            raise ValueError(f"the sample rate is {sample_rate_hz} Hz; it must be positive")
        columns = given[:, np.newaxis] if given.ndim == 1 else given
        channels = np.ascontiguousarray(columns, np.float32)
        mono = to_mono(channels)
        check_finite(mono)
        at_rate = resample(mono, sample_rate_hz, self.sample_rate_hz)
        windows = cut(at_rate, self.clip_samples)
        meter = levels.ChannelMeter(self.clip_samples, sample_rate_hz, self.sample_rate_hz)
        meter.add(channels, mono)
        results = []
        for start in range(0, len(windows), self.windows_per_call):
            part = windows[start : start + self.windows_per_call]
            results.append(self._predict_audible(part, meter.take(len(part))))
        return self._prediction("", len(given) / sample_rate_hz, len(at_rate), results)

    def _predict_audible(
        self, windows: npt.NDArray[np.float32], cancelled: Sequence[bool]
    ) -> WindowResults:
        """Predict the windows that count; the others are not sent to the model."""
        check_finite(windows, self.max_sample)
        power = levels.power(windows)
        left_out = levels.reasons(power, cancelled)
        heard = [index for index, reason in enumerate(left_out) if reason == levels.HEARD]
        matrix = np.zeros((len(windows), len(self.genres)), np.float32)
        if heard:
            matrix[heard] = self.predict_windows(windows[heard])
            # A server may round a window at the limit of silence to the other side.
            for index in heard:
                if not matrix[index].any():
                    left_out = (*left_out[:index], levels.NEAR_SILENT, *left_out[index + 1 :])
        return WindowResults(matrix, left_out, power)

    def _prediction(
        self,
        path: str,
        seconds: float,
        samples: int,
        results: list[WindowResults],
        faults: tuple[Fault, ...] = (),
    ) -> Prediction:
        if not results:
            refuse(faults)  # the reason why there is so little
            reason = too_short(samples, self.clip_samples, self.sample_rate_hz)
            raise DecodeError("too_short", reason)
        left_out = tuple(reason for one in results for reason in one.left_out)
        heard = [index for index, reason in enumerate(left_out) if reason == levels.HEARD]
        if not heard:
            power = np.concatenate([one.power for one in results])
            raise DecodeError(*levels.refusal(left_out, power))
        matrix = np.concatenate([one.probabilities for one in results])
        mean = matrix[heard].mean(axis=0, dtype=np.float64)
        order = np.argsort(-mean, kind="stable")
        return Prediction(
            path=path,
            seconds=seconds,
            windows=len(matrix),
            clip_seconds=self.clip_samples / self.sample_rate_hz,
            genres=self.genres,
            probabilities={self.genres[index]: float(mean[index]) for index in order},
            window_probabilities=matrix,
            left_out=left_out,
            warnings=tuple(fault.warning() for fault in faults),
        )
