"""The interface of decoders, and the decoder that runs in this process.

The decoder that runs in a separate process is in `components.audio.decoding.isolation`.
"""

from __future__ import annotations

import abc
import dataclasses
import itertools
import math
import os
import pathlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from components.audio import levels
from components.audio.clips import ClipChoice
from components.audio.decoding.clip_reader import TrackClips
from components.audio.decoding.decode import MAX_SECONDS
from components.audio.decoding.decode_tasks import TASKS, DecodeResult
from components.audio.decoding.faults import FAULT_ADVICE, Fault
from components.audio.decoding.streaming import MAX_STREAMED_SECONDS, Part, parts
from components.audio.params import AudioParams
from components.audio.stretches import Stretch

MAX_DETAIL_CHARACTERS = 500

T = TypeVar("T")
D = TypeVar("D", bound="Decoder")


@dataclasses.dataclass(frozen=True, eq=False)
class Recording:
    """A whole recording.

    Attributes:
      samples: float32 `[n]`, mono, at the requested rate.
      seconds: length of the recording in the file.
    """

    samples: npt.NDArray[np.float32]
    seconds: float


class Decoder(abc.ABC):
    """Interface of decoders of audio files. Not to be shared by threads.

    All methods raise components.audio.decoding.decode.DecodeError, with a reject reason, for a
    file that cannot be used. Close a decoder after use, or use it as a context manager.
    """

    def read_clips(
        self,
        path: str | pathlib.Path,
        params: AudioParams,
        *,
        track_id: str,
        seed: int,
        strict: bool = False,
        choice: ClipChoice | None = None,
    ) -> TrackClips:
        """Read a track's clips at the model's rate (components.audio.decoding.clip_reader).

        Args:
          path: the audio file.
          params: the audio parameters.
          track_id: id of the track; decides with `seed` where the clips lie
            (components.audio.clips).
          seed: the run's clip seed.
          strict: decode the whole file.
          choice: which clips; None for those of a training track.
        """
        choice = choice or ClipChoice.of(params)
        arguments = {
            "params": params.to_json(),
            "choice": dataclasses.asdict(choice),
            "track_id": track_id,
            "seed": seed,
            "strict": strict,
        }
        max_samples = choice.clips * params.clip_samples

        def parse(result: DecodeResult) -> TrackClips:
            return _clips(result, params, choice)

        return self._run("read_clips", path, arguments, max_samples, parse)

    def read_windows(
        self,
        path: str | pathlib.Path,
        stretches: Sequence[Stretch],
        *,
        rate_hz: int,
        window_samples: int,
    ) -> npt.NDArray[np.float32]:
        """Read the windows that cover stretches of a recording, without those that do not count.

        Args:
          path: the audio file.
          stretches: what to hear (components.audio.stretches).
          rate_hz: rate to resample to.
          window_samples: length of a window at that rate.

        Returns:
          Mono windows in order of time, float32 `[windows, window_samples]`, at least one.
        """
        arguments = {
            "rate_hz": rate_hz,
            "window_samples": window_samples,
            "stretches": [list(stretch) for stretch in stretches],
        }
        max_samples = math.ceil(2 * (MAX_SECONDS + 1) * rate_hz)
        return self._run(
            "read_windows", path, arguments, max_samples, lambda res: _windows(res, window_samples)
        )

    def decode(self, path: str | pathlib.Path, rate_hz: int) -> Recording:
        """Decode the whole recording, mono, resampled to `rate_hz`."""
        max_samples = math.ceil((MAX_SECONDS + 1) * rate_hz)
        return self._run("decode", path, {"rate_hz": rate_hz}, max_samples, _recording)

    def stream(
        self, path: str | pathlib.Path, rate_hz: int, window_samples: int, windows: int = 1
    ) -> Iterator[Part]:
        """Decode a recording of up to a day part by part, to the same samples as `decode`.

        Call no other method before the last part; otherwise decoding restarts at the beginning.

        Args:
          path: the audio file.
          rate_hz: rate to resample to.
          window_samples: length of a window at that rate.
          windows: number of windows in each part. Only the last part is shorter; it may be empty.
        """
        arguments = {"rate_hz": rate_hz, "window_samples": window_samples, "windows": windows}
        part_samples = window_samples * windows

        def parse(result: DecodeResult) -> Part:
            return _part(result, window_samples)

        for index in itertools.count():
            part = self._run("part", path, {**arguments, "index": index}, part_samples, parse)
            yield part
            if len(part.samples) < part_samples:
                return

    def header(self, path: str | pathlib.Path) -> tuple[int, int]:
        """Return the header's (samples per channel, rate in Hz). Decode no audio."""
        return self._run("header", path, {}, 0, _header)

    def digest(self, path: str | pathlib.Path) -> str:
        """Return 64 hex digits that identify a file's whole audio."""
        return self._run("digest", path, {}, 0, _digest)

    def write_wav(self, path: str | pathlib.Path, destination: str | pathlib.Path) -> None:
        """Write the whole track as 32-bit float WAV, with the file's own rate and channels.

        Raises:
          OSError: it cannot be written. The caller removes a partial file.
        """
        arguments = {"destination": _absolute(destination)}
        self._run("write_wav", path, arguments, 0, lambda result: None)

    def close(self) -> None:  # noqa: B027  most have nothing to release
        """Release the decoder's resources. It may be used again afterwards."""

    def __enter__(self: D) -> D:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _run(
        self,
        task: str,
        path: str | pathlib.Path,
        arguments: dict[str, Any],
        max_samples: int,
        parse: Callable[[DecodeResult], T],
    ) -> T:
        return self._execute(task, {"path": _absolute(path), **arguments}, max_samples, parse)

    @abc.abstractmethod
    def _execute(
        self,
        task: str,
        arguments: dict[str, Any],
        max_samples: int,
        parse: Callable[[DecodeResult], T],
    ) -> T:
        """Run a task and return its result, converted by `parse`.

        Args:
          task: name of the task, a key of decode_tasks.TASKS.
          arguments: the task's arguments.
          max_samples: upper bound of the result's samples; a longer result is invalid.
          parse: converts the result; raises ValueError, TypeError or KeyError if it is invalid.
        """


class InProcessDecoder(Decoder):
    """Decoder that runs in this process; a crash of native code ends the process too.

    Threads may share it.
    """

    def stream(
        self, path: str | pathlib.Path, rate_hz: int, window_samples: int, windows: int = 1
    ) -> Iterator[Part]:
        """Decode part by part, as Decoder.stream; several recordings may be read at once."""
        yield from parts(_absolute(path), rate_hz, window_samples, windows)

    def _execute(
        self,
        task: str,
        arguments: dict[str, Any],
        max_samples: int,
        parse: Callable[[DecodeResult], T],
    ) -> T:
        return parse(TASKS[task](**arguments))


def _absolute(path: str | pathlib.Path) -> str:
    # Not os.path.abspath, which removes `link/..` without resolving the link.
    return os.fspath(path) if os.path.isabs(path) else os.path.join(os.getcwd(), path)


def _clips(result: DecodeResult, params: AudioParams, choice: ClipChoice) -> TrackClips:
    starts, total = result.values["starts"], _count(result.values["track_samples"])
    fingerprint = result.values["fingerprint"]
    left_out = tuple(result.values["left_out"])
    if not choice.allows(len(left_out)) or not set(left_out) <= set(levels.REASONS):
        raise ValueError("not the reasons of clips")
    if not 0 < len(starts) == left_out.count(levels.HEARD) or not all(
        0 <= _count(start) <= total - params.clip_samples for start in starts
    ):
        raise ValueError("clips outside the track")
    if not re.fullmatch("[0-9a-f]{16}|", fingerprint):
        raise ValueError("not a fingerprint")
    waveforms = result.samples.reshape(len(starts), params.clip_samples)
    return TrackClips(starts, waveforms, left_out, total, fingerprint)


def _windows(result: DecodeResult, window_samples: int) -> npt.NDArray[np.float32]:
    count = _count(result.values["windows"])
    if not count:
        raise ValueError("no windows")
    return result.samples.reshape(count, window_samples)


def _recording(result: DecodeResult) -> Recording:
    seconds = result.values["seconds"]
    if not 0 <= seconds <= MAX_SECONDS:
        raise ValueError(f"a recording of {seconds} s")
    return Recording(result.samples, float(seconds))


def _part(result: DecodeResult, window_samples: int) -> Part:
    seconds, claimed = result.values["seconds"], result.values["claimed_seconds"]
    if not 0 <= seconds <= (seconds if claimed is None else claimed) <= MAX_STREAMED_SECONDS:
        raise ValueError(f"{seconds} of {claimed} s")
    cancelled = [bool(one) for one in result.values["cancelled"]]
    if len(cancelled) != len(result.samples) // window_samples:
        raise ValueError(f"levels of {len(cancelled)} windows")
    return Part(
        result.samples,
        float(seconds),
        None if claimed is None else float(claimed),
        cancelled,
        tuple(_fault(*values) for values in result.values["faults"]),
    )


def _fault(reason: object, detail: object) -> Fault:
    if not (isinstance(reason, str) and reason in FAULT_ADVICE and isinstance(detail, str)):
        raise ValueError(f"{reason!r} is not a fault")
    return Fault(reason, detail[:MAX_DETAIL_CHARACTERS])


def _header(result: DecodeResult) -> tuple[int, int]:
    return _count(result.values["frames"]), _count(result.values["rate_hz"])


def _digest(result: DecodeResult) -> str:
    digest: str = result.values["digest"]
    if not re.fullmatch("[0-9a-f]{64}", digest):
        raise ValueError("not a digest")
    return digest


def _count(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r} is not a number of samples")
    return value
