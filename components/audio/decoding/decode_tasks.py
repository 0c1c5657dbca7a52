"""Tasks of a decoder: plain values in, plain values and at most one array out.

The same functions run in this process or in a separate one
(components.audio.decoding.isolation), so both give the same bytes. This module imports only
what decoding needs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from components.audio.clips import ClipChoice
from components.audio.decoding import clip_reader
from components.audio.decoding.clip_reader import WindowShape
from components.audio.decoding.decode import audio_digest, blocks, opened, read_all, resample
from components.audio.decoding.decode import decode as decode_file
from components.audio.decoding.streaming import Part, parts
from components.audio.params import AudioParams
from components.audio.stretches import Stretch, covering_starts


@dataclasses.dataclass(frozen=True, eq=False)
class DecodeResult:
    """Result of a task.

    Attributes:
      values: JSON values by name.
      samples: float32 `[n]`; empty if the task returns no samples.
    """

    values: dict[str, Any]
    samples: npt.NDArray[np.float32] = dataclasses.field(
        default_factory=lambda: np.empty(0, np.float32)
    )


class OutputError(OSError):
    """Error for an output file that cannot be written; the track is not to blame."""


def read_clips(
    path: str,
    params: dict[str, Any],
    choice: dict[str, Any],
    track_id: str,
    seed: int,
    strict: bool,
) -> DecodeResult:
    """Return a track's clips, one after the other in `samples` (clip_reader.read_clips)."""
    audio, chosen = AudioParams.from_json(params), ClipChoice(**choice)
    clips = clip_reader.read_clips(
        path,
        audio,
        lambda samples: chosen.starts(samples, audio.clip_samples, track_id=track_id, seed=seed),
        strict=strict,
        windows=chosen.windows,
    )
    values = {
        "starts": clips.starts,
        "left_out": clips.left_out,
        "track_samples": clips.track_samples,
        "fingerprint": clips.fingerprint,
    }
    return DecodeResult(values, clips.waveforms.reshape(-1))


def read_windows(
    path: str, rate_hz: int, window_samples: int, stretches: list[Stretch]
) -> DecodeResult:
    """Return the windows that cover some stretches and count, one after the other in `samples`."""
    windows = clip_reader.read_clips(
        path,
        WindowShape(rate_hz, window_samples),
        lambda samples: covering_starts(stretches, samples, window_samples, rate_hz),
    )
    return DecodeResult({"windows": len(windows.waveforms)}, windows.waveforms.reshape(-1))


def decode(path: str, rate_hz: int) -> DecodeResult:
    """Return the whole recording, mono at `rate_hz`, and `seconds`, its length in the file."""
    samples, file_rate_hz = decode_file(path)
    seconds = len(samples) / file_rate_hz
    return DecodeResult({"seconds": seconds}, resample(samples, file_rate_hz, rate_hz))


def part(path: str, rate_hz: int, window_samples: int, windows: int, index: int) -> DecodeResult:
    """Return part `index` of the recording (components.audio.decoding.streaming.parts).

    A process that returned the previous part continues from there. A fresh one, started after
    a crash, decodes from the beginning. The result is the same.
    """
    global _stream
    source = (path, rate_hz, window_samples, windows)
    if _stream is None or _stream.source != source or _stream.index != index:
        _stream = _Stream(source, 0, parts(*source))
        for _ in range(index):
            next(_stream.parts)
        _stream.index = index
    stream, _stream = _stream, None  # not continued if the next line raises
    current = next(stream.parts)
    if len(current.samples) == window_samples * windows:
        stream.index += 1
        _stream = stream
    values = {
        "seconds": current.seconds,
        "claimed_seconds": current.claimed_seconds,
        "cancelled": current.cancelled,
        "faults": [dataclasses.astuple(fault) for fault in current.faults],
    }
    return DecodeResult(values, current.samples)


@dataclasses.dataclass(eq=False)
class _Stream:
    """Recording that is being read.

    Attributes:
      source: the arguments of `parts`.
      index: index of the next part.
      parts: the remaining parts.
    """

    source: tuple[str, int, int, int]
    index: int
    parts: Iterator[Part]


# One for the decoding process, which runs one task at a time.
_stream: _Stream | None = None


def header(path: str) -> DecodeResult:
    """Return the file's `frames` (samples per channel) and `rate_hz`.

    No audio is decoded, unless the file does not tell its length.
    """
    with opened(path) as audio:
        frames = audio.measured_frames if audio.frames is None else audio.frames
        if frames is None:
            frames = sum(len(block) for block, _ in blocks(audio))
        return DecodeResult({"frames": frames, "rate_hz": int(audio.samplerate)})


def digest(path: str) -> DecodeResult:
    """Return `digest`, that of the whole audio (decode.audio_digest)."""
    return DecodeResult({"digest": audio_digest(*decode_file(path))})


def write_wav(path: str, destination: str) -> DecodeResult:
    """Write the whole track as 32-bit float WAV, with the file's own rate and channels.

    Raises:
      OutputError: the WAV file cannot be written.
    """
    with opened(path) as audio:
        samples = read_all(audio)
        rate_hz = int(audio.samplerate)
    try:
        soundfile.write(destination, samples, rate_hz, subtype="FLOAT", format="WAV")
    except (OSError, soundfile.LibsndfileError) as error:
        raise OutputError(f"{destination}: {error}") from error
    return DecodeResult({})


TASKS: dict[str, Callable[..., DecodeResult]] = {
    "read_clips": read_clips,
    "read_windows": read_windows,
    "decode": decode,
    "part": part,
    "header": header,
    "digest": digest,
    "write_wav": write_wav,
}
