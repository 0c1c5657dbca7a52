"""The decoder that all parts ask, and the one that answers in this process.

`components.audio.decoding.isolation` has the one that answers from a process of its own.
"""

from __future__ import annotations

import abc
import dataclasses
import itertools
import math
import os
import pathlib
import re
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from components.audio.decoding.clip_reader import TrackClips
from components.audio.decoding.decode import MAX_SECONDS
from components.audio.decoding.decode_tasks import TASKS, Answer
from components.audio.decoding.streaming import Part, parts
from components.audio.params import AudioParams

T = TypeVar("T")
D = TypeVar("D", bound="Decoder")


@dataclasses.dataclass(frozen=True, eq=False)
class Recording:
    """A whole recording: `samples` float32 `[n]`, mono at the rate that was asked for;
    `seconds`, its length in the file."""

    samples: npt.NDArray[np.float32]
    seconds: float


class Decoder(abc.ABC):
    """Answers questions about audio files, one at a time; no two threads may share one.

    All methods raise components.audio.decoding.decode.DecodeError, with its reject reason, for a
    file that cannot be used. To be closed, or used as a context manager.
    """

    def read_clips(
        self,
        path: str | pathlib.Path,
        params: AudioParams,
        *,
        track_id: str,
        seed: int,
        strict: bool = False,
    ) -> TrackClips:
        """A track's clips at the model's rate; see components.audio.decoding.clip_reader.

        Args:
          path: the audio file.
          params: the audio parameters.
          track_id, seed: decide where the clips lie (components.audio.clips).
          strict: decode the whole file.
        """
        arguments = {
            "params": params.to_json(),
            "track_id": track_id,
            "seed": seed,
            "strict": strict,
        }
        samples = params.clips_per_track * params.clip_samples
        return self._ask(
            "read_clips", path, arguments, samples, lambda answer: _clips(answer, params)
        )

    def decode(self, path: str | pathlib.Path, rate_hz: int) -> Recording:
        """The whole recording, mono, resampled to `rate_hz`."""
        most = math.ceil((MAX_SECONDS + 1) * rate_hz)
        return self._ask("decode", path, {"rate_hz": rate_hz}, most, _recording)

    def stream(self, path: str | pathlib.Path, rate_hz: int, part_samples: int) -> Iterator[Part]:
        """The same samples as those of decode, part by part; up to a day of them.

        Nothing else may be asked before the last part has come, or it is begun anew.

        Args:
          path: the audio file.
          rate_hz: what it is resampled to.
          part_samples: length of each part; the last one alone is shorter, and may be empty.
        """
        arguments = {"rate_hz": rate_hz, "part_samples": part_samples}
        for index in itertools.count():
            part = self._ask("part", path, {**arguments, "index": index}, part_samples, _part)
            yield part
            if len(part.samples) < part_samples:
                return

    def header(self, path: str | pathlib.Path) -> tuple[int, int]:
        """(samples a channel, rate in Hz) as the file's header says; decodes no audio."""
        return self._ask("header", path, {}, 0, _header)

    def digest(self, path: str | pathlib.Path) -> str:
        """64 hex digits that only files of the same whole audio share."""
        return self._ask("digest", path, {}, 0, _digest)

    def write_wav(self, path: str | pathlib.Path, destination: str | pathlib.Path) -> None:
        """Writes the whole track as 32-bit float WAV, its own rate and channels.

        Raises:
          OSError: it cannot be written; what is there of it is the caller's to remove.
        """
        arguments = {"destination": _absolute(destination)}
        self._ask("write_wav", path, arguments, 0, lambda answer: None)

    def close(self) -> None:  # noqa: B027  most hold nothing
        """Lets go of what the decoder holds; it may be asked again afterwards."""

    def __enter__(self: D) -> D:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _ask(
        self,
        task: str,
        path: str | pathlib.Path,
        arguments: dict[str, Any],
        most_samples: int,
        parse: Callable[[Answer], T],
    ) -> T:
        return self._answer(task, {"path": _absolute(path), **arguments}, most_samples, parse)

    @abc.abstractmethod
    def _answer(
        self,
        task: str,
        arguments: dict[str, Any],
        most_samples: int,
        parse: Callable[[Answer], T],
    ) -> T:
        """What `parse` makes of a task's answer; it raises ValueError, TypeError or KeyError
        for one that makes no sense, as has one of more than `most_samples` samples."""


class InProcessDecoder(Decoder):
    """Decodes in this process: a crash or hang of native code is one of the process.

    Several threads may share it.
    """

    def stream(self, path: str | pathlib.Path, rate_hz: int, part_samples: int) -> Iterator[Part]:
        """As Decoder.stream; several recordings may be read at once."""
        yield from parts(_absolute(path), rate_hz, part_samples)

    def _answer(
        self,
        task: str,
        arguments: dict[str, Any],
        most_samples: int,
        parse: Callable[[Answer], T],
    ) -> T:
        return parse(TASKS[task](**arguments))


def _absolute(path: str | pathlib.Path) -> str:
    # Not os.path.abspath, which takes `link/..` for nothing.
    return os.fspath(path) if os.path.isabs(path) else os.path.join(os.getcwd(), path)


def _clips(answer: Answer, params: AudioParams) -> TrackClips:
    starts, total = answer.values["starts"], _count(answer.values["track_samples"])
    fingerprint = answer.values["fingerprint"]
    if len(starts) != params.clips_per_track or not all(
        0 <= _count(start) <= total - params.clip_samples for start in starts
    ):
        raise ValueError("clips that are not in the track")
    if not re.fullmatch("[0-9a-f]{16}|", fingerprint):
        raise ValueError("not a fingerprint")
    waveforms = answer.samples.reshape(params.clips_per_track, params.clip_samples)
    return TrackClips(starts, waveforms, total, fingerprint)


def _recording(answer: Answer) -> Recording:
    seconds = answer.values["seconds"]
    if not 0 <= seconds <= MAX_SECONDS:
        raise ValueError(f"a recording of {seconds} s")
    return Recording(answer.samples, float(seconds))


def _part(answer: Answer) -> Part:
    seconds, claimed = answer.values["seconds"], answer.values["claimed_seconds"]
    if not 0 <= seconds <= claimed <= MAX_SECONDS:
        raise ValueError(f"{seconds} of {claimed} s")
    return Part(answer.samples, float(seconds), float(claimed))


def _header(answer: Answer) -> tuple[int, int]:
    return _count(answer.values["frames"]), _count(answer.values["rate_hz"])


def _digest(answer: Answer) -> str:
    digest: str = answer.values["digest"]
    if not re.fullmatch("[0-9a-f]{64}", digest):
        raise ValueError("not a digest")
    return digest


def _count(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r} is not a number of samples")
    return value
