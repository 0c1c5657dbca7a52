"""What a decoder can be asked: plain values in, plain values and at most one array out.

The same functions run in this process or in one of their own (components.audio.decoding.isolation),
so that both give the same bytes. Nothing here may import more than decoding needs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from components.audio.clips import clip_starts
from components.audio.decoding import clip_reader
from components.audio.decoding.decode import audio_digest, opened, resample
from components.audio.decoding.decode import decode as decode_file
from components.audio.decoding.streaming import Part, parts
from components.audio.params import AudioParams


@dataclasses.dataclass(frozen=True, eq=False)
class Answer:
    """`values` are JSON values; `samples` float32 `[n]`, empty where the task has none."""

    values: dict[str, Any]
    samples: npt.NDArray[np.float32] = dataclasses.field(
        default_factory=lambda: np.empty(0, np.float32)
    )


class OutputError(OSError):
    """What a task was to write cannot be written: no fault of the track's."""


def read_clips(path: str, params: dict[str, Any], track_id: str, seed: int, strict: bool) -> Answer:
    """A track's clips, one after the other in `samples` (clip_reader.read_clips)."""
    audio = AudioParams.from_json(params)
    clips = clip_reader.read_clips(
        path,
        audio,
        lambda samples: clip_starts(
            samples, audio.clip_samples, audio.clips_per_track, track_id=track_id, seed=seed
        ),
        strict=strict,
    )
    values = {
        "starts": clips.starts,
        "track_samples": clips.track_samples,
        "fingerprint": clips.fingerprint,
    }
    return Answer(values, clips.waveforms.reshape(-1))


def decode(path: str, rate_hz: int) -> Answer:
    """The whole recording, mono at `rate_hz`; `seconds` of it as the file has them."""
    samples, file_rate_hz = decode_file(path)
    seconds = len(samples) / file_rate_hz
    return Answer({"seconds": seconds}, resample(samples, file_rate_hz, rate_hz))


def part(path: str, rate_hz: int, part_samples: int, index: int) -> Answer:
    """Part `index` of the recording (components.audio.decoding.streaming.parts).

    A process that gave the part before goes on where it stopped; one that did not (because
    that other one died) begins at the start, so the answer is the same.
    """
    global _stream
    asked = (path, rate_hz, part_samples)
    if _stream is None or _stream.asked != asked or _stream.index != index:
        _stream = _Stream(asked, 0, parts(*asked))
        for _ in range(index):
            next(_stream.parts)
        _stream.index = index
    stream, _stream = _stream, None  # what fails is not gone on with
    found = next(stream.parts)
    if len(found.samples) == part_samples:
        stream.index += 1
        _stream = stream
    values = {"seconds": found.seconds, "claimed_seconds": found.claimed_seconds}
    return Answer(values, found.samples)


@dataclasses.dataclass(eq=False)
class _Stream:
    """A recording that is being read: what was asked for, and the part that comes next."""

    asked: tuple[str, int, int]
    index: int
    parts: Iterator[Part]


# Of the process that decodes, which does one thing at a time.
_stream: _Stream | None = None


def header(path: str) -> Answer:
    """`frames` (samples a channel) and `rate_hz`, as the header says; decodes no audio."""
    with opened(path) as audio:
        return Answer({"frames": int(audio.frames), "rate_hz": int(audio.samplerate)})


def digest(path: str) -> Answer:
    """`digest` of the whole audio (decode.audio_digest)."""
    return Answer({"digest": audio_digest(*decode_file(path))})


def write_wav(path: str, destination: str) -> Answer:
    """Writes the whole track as 32-bit float WAV, its own rate and channels.

    Raises:
      OutputError: it cannot be written.
    """
    with opened(path) as audio:
        samples = audio.read(dtype="float32", always_2d=True)
        rate_hz = int(audio.samplerate)
    try:
        soundfile.write(destination, samples, rate_hz, subtype="FLOAT", format="WAV")
    except (OSError, soundfile.LibsndfileError) as error:
        raise OutputError(f"{destination}: {error}") from error
    return Answer({})


TASKS: dict[str, Callable[..., Answer]] = {
    "read_clips": read_clips,
    "decode": decode,
    "part": part,
    "header": header,
    "digest": digest,
    "write_wav": write_wav,
}
