"""Fuzzing of the decoder: thousands of damaged audio files must each give clips or a reject.

    python -m benchmarks.fuzz_decoder [--cases 20000] [--seed 0]

Small files of every format, and files whose header tells no length or a wrong one, are cut,
joined, spliced, and get flipped bits, absurd header values and each other's headers. Each is read
as training and as prediction read it. The program prints the outcomes, the slowest case and the
peak memory. An exception ends it with the case's number. A crash in native code ends it with the
signal; the case is then the file that is left in the temporary folder.
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
from components.audio.decoding import streaming
from components.audio.decoding.clip_reader import read_clips
from components.audio.decoding.decode import DecodeError
from components.audio.decoding.faults import Fault
from components.audio.decoding.formats import has_pyav
from components.audio.params import AudioParams

PARAMS = AudioParams(clip_seconds=0.5, clips_per_track=2)
FORMATS: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("wav", "WAV", {"subtype": "PCM_16"}),
    ("wav", "WAV", {"subtype": "FLOAT"}),
    ("au", "AU", {"subtype": "PCM_16"}),
    ("flac", "FLAC", {}),
    ("ogg", "OGG", {"subtype": "VORBIS"}),
    ("opus", "OGG", {"subtype": "OPUS"}),
    ("aiff", "AIFF", {"subtype": "PCM_16"}),
    ("caf", "CAF", {"subtype": "PCM_16"}),
    ("w64", "W64", {"subtype": "PCM_16"}),
    ("rf64", "RF64", {"subtype": "PCM_16"}),
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
RATE_HZ = 24000
HEADER_BYTES = 64
MAX_HEADER_BYTES = 5000
ID3 = b"ID3\3\0\0\0\0\1\x48" + bytes(200)
# Where headers have the length: a mark, the length's offset from it, and its number of bytes.
LENGTHS = (
    (b"data\xf3\xac", 16, 8),  # Wave64
    (b"data", 4, 4),  # WAV, and the upper half in CAF
    (b"ds64", 16, 8),  # RF64
    (b"SSND", 4, 4),  # AIFF
    (b".snd", 8, 4),  # AU
    (b"fLaC", 22, 4),
    (b"Xing", 8, 4),
    (b"Info", 8, 4),
)


def seeds() -> list[tuple[str, bytes]]:
    """Return (extension, content) of intact files of 2 s, mono and stereo."""
    files = []
    rng = np.random.default_rng(0)
    for channels in (1, 2):
        samples = rng.normal(0, 0.1, (2 * RATE_HZ, channels)).astype(np.float32)
        for extension, kind, options in FORMATS:
            buffer = io.BytesIO()
            soundfile.write(buffer, samples, RATE_HZ, format=kind, **options)
            content = buffer.getvalue()
            files.append((extension, content))
            if extension == "mp3":  # also without the frame that holds its length
                files.append((extension, content[content.index(content[:2], 150) :]))
            told_none = set_length(content, b"\0")
            if told_none != content:
                files.append((extension, told_none))
            files.append((extension, content + content))
            files.append((extension, content + ID3 + told_none))
    for first, second in ((0, 1), (-1, 0)):  # mono and stereo, one behind the other
        songs = [content for extension, content in files if extension == "mp3"]
        files.append(("mp3", songs[first] + songs[len(songs) // 2 + second]))
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


def set_length(content: bytes, byte: bytes) -> bytes:
    """Return the content with all bytes of its header's length replaced, if it has one."""
    for mark, offset, count in LENGTHS:
        at = content.find(mark, 0, MAX_HEADER_BYTES)
        if at >= 0:
            return content[: at + offset] + count * byte + content[at + offset + count :]
    return content


def damage(content: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    """Return the content after one to three random mutations."""
    data = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        at = int(rng.integers(0, max(1, len(data))))
        match rng.integers(0, 10):
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
            case 6:  # a length that is not known, or any
                byte = rng.choice([b"\0", b"\xff", rng.bytes(1)])
                data = bytearray(set_length(bytes(data), bytes(byte)))
            case 7:  # joined
                data += other
            case 8:  # joined, with a tag between
                data += ID3 + other
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


def stream_case(path: pathlib.Path) -> str:
    """Read a file as prediction does. Return "streamed" with the fault or the reject reason."""
    faults: tuple[Fault, ...] = ()
    try:
        for part in streaming.parts(path, PARAMS.sample_rate_hz, PARAMS.clip_samples):
            assert np.isfinite(part.samples).all()
            assert part.claimed_seconds is None or part.seconds <= part.claimed_seconds
            faults = part.faults
    except DecodeError as error:
        return f"streamed: {error.reason}"
    return f"streamed, with {faults[0].reason}" if faults else "streamed"


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
            ends[stream_case(path)] += 1
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
