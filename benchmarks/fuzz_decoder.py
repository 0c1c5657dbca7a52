"""Fuzzing of the decoder: thousands of damaged audio files must each give clips or a reject.

    python -m benchmarks.fuzz_decoder [--cases 20000] [--seed 0]

Small files of every format are cut, spliced, and get flipped bits, absurd header values and each
other's headers. The program prints the outcomes, the slowest case and the peak memory. An
exception ends it with the case's number. A crash in native code ends it with the signal; the case
is then the file that is left in the temporary folder.
"""

from __future__ import annotations

import collections
import io
import os
import pathlib
import sys
import tempfile
import time
from typing import Any

import numpy as np
import soundfile

from benchmarks.shared import av_files, command
from components.audio.clips import clip_starts
from components.audio.decoding.clip_reader import read_clips
from components.audio.decoding.decode import DecodeError
from components.audio.decoding.formats import has_pyav
from components.audio.params import AudioParams

PARAMS = AudioParams(clip_seconds=0.5, clips_per_track=2)
FORMATS: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("wav", "WAV", {"subtype": "PCM_16"}),
    ("wav", "WAV", {"subtype": "FLOAT"}),
    ("au", "AU", {"subtype": "PCM_16"}),
    ("flac", "FLAC", {}),
    ("ogg", "OGG", {}),
    ("mp3", "MP3", {"bitrate_mode": "VARIABLE"}),
    ("mp3", "MP3", {"bitrate_mode": "CONSTANT"}),
)
# What PyAV writes: extension, codec, container, sample rate and more for av_files.write.
FFMPEG_FORMATS: tuple[tuple[str, str, str, int, dict[str, Any]], ...] = (
    ("m4a", "aac", "ipod", 22050, {}),
    ("m4a", "aac", "ipod", 22050, {"options": {"movflags": "faststart"}}),
    ("m4a", "aac", "mp4", 22050, {"options": {"movflags": "empty_moov+frag_keyframe"}}),
    ("m4a", "alac", "ipod", 22050, {"sample_format": "s16p"}),
    ("mov", "aac", "mov", 22050, {"pictures": 10}),
    ("aac", "aac", "adts", 22050, {}),
    ("webm", "libopus", "webm", 24000, {}),
    ("mka", "flac", "matroska", 22050, {}),
    ("wma", "wmav1", "asf", 22050, {}),
    ("wma", "wmav2", "asf", 22050, {}),
    ("wv", "wavpack", "wv", 22050, {"sample_format": "s16p"}),
    ("oga", "flac", "ogg", 22050, {}),
    ("ac3", "ac3", "ac3", 32000, {}),
)
HEADER_BYTES = 64


def seeds() -> list[tuple[str, bytes]]:
    """Return (extension, content) of intact files of 2 s, mono and stereo."""
    files = []
    rng = np.random.default_rng(0)
    for channels in (1, 2):
        samples = rng.normal(0, 0.1, (2 * 22050, channels)).astype(np.float32)
        for extension, kind, options in FORMATS:
            buffer = io.BytesIO()
            soundfile.write(buffer, samples, 22050, format=kind, **options)
            files.append((extension, buffer.getvalue()))
            if extension == "mp3":  # also without the frame that holds its length
                content = buffer.getvalue()
                files.append((extension, content[content.index(content[:2], 150) :]))
    return files


def ffmpeg_seeds() -> list[tuple[str, bytes]]:
    """Return the same of the formats that FFmpeg's libraries read; none without PyAV."""
    if not has_pyav():
        return []
    files = []
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        for channels in (1, 2):
            for extension, codec, container, rate_hz, more in FFMPEG_FORMATS:
                path = pathlib.Path(folder) / f"song.{extension}"
                samples = rng.normal(0, 0.1, (2 * rate_hz, channels)).astype(np.float32)
                av_files.write(path, samples, rate_hz, codec=codec, container=container, **more)
                files.append((extension, path.read_bytes()))
    return files


def damage(content: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    """Return the content after one to three random mutations."""
    data = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        at = int(rng.integers(0, max(1, len(data))))
        match rng.integers(0, 7):
            case 0:  # truncated
                del data[at:]
            case 1:  # bits flipped anywhere
                for place in rng.integers(0, max(1, len(data)), 20):
                    if data:
                        data[place % len(data)] ^= 1 << int(rng.integers(0, 8))
            case 2:  # absurd header values
                place = int(rng.integers(0, HEADER_BYTES))
                data[place : place + 4] = rng.choice(
                    [b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\0", b"\0\0\0\x80"]
                )
            case 3:  # another file's header
                data[:HEADER_BYTES] = other[:HEADER_BYTES]
            case 4:  # a piece missing
                del data[at : at + int(rng.integers(1, 4096))]
            case 5:  # noise inside
                data[at : at + 512] = rng.bytes(512)
            case _:  # bytes in front, as tags are
                data[:0] = rng.bytes(int(rng.integers(1, 2048)))
    return bytes(data)


def run_case(path: pathlib.Path) -> str:
    """Read a file's clips. Return the outcome: "clips", or the reject reason."""
    try:
        clips = read_clips(
            path,
            PARAMS,
            lambda samples: clip_starts(samples, PARAMS.clip_samples, 2, track_id="f", seed=0),
        )
    except DecodeError as error:
        return error.reason
    assert len(clips.left_out) == 2
    assert clips.waveforms.shape == (clips.left_out.count(""), PARAMS.clip_samples)
    assert np.isfinite(clips.waveforms).all()
    return "clips"


def campaign(cases: int, seed: int, folder: pathlib.Path) -> tuple[collections.Counter[str], float]:
    """Run cases. Return the number of each outcome, and the seconds of the slowest case."""
    intact = seeds() + ffmpeg_seeds()
    rng = np.random.default_rng(seed)
    ends: collections.Counter[str] = collections.Counter()
    slowest = 0.0
    for case in range(cases):
        extension, content = intact[int(rng.integers(len(intact)))]
        _, other = intact[int(rng.integers(len(intact)))]
        path = folder / f"case.{extension}"
        path.write_bytes(damage(content, other, rng))
        begun = time.perf_counter()
        try:
            ends[run_case(path)] += 1
        except BaseException:
            print(f"case {case} of seed {seed} in {path}", file=sys.stderr)
            raise
        slowest = max(slowest, time.perf_counter() - begun)
    return ends, slowest


def main() -> None:
    parser = command.parser(__file__, __doc__)
    parser.add_argument("--cases", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    # libmpg123 prints warnings to descriptor 2; Python's own messages are still shown.
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    with tempfile.TemporaryDirectory() as folder:
        ends, slowest = campaign(arguments.cases, arguments.seed, pathlib.Path(folder))
    for end, number in ends.most_common():
        print(f"{number:7d}  {end}")
    peak = command.peak_bytes() / 2**20
    print(f"{arguments.cases} cases, slowest {slowest * 1000:.0f} ms, peak memory {peak:.0f} MB")


if __name__ == "__main__":
    main()
