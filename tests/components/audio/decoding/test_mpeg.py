"""mp3 files without a length header are read completely, whatever tags surround them."""

from __future__ import annotations

import itertools
import pathlib

import numpy as np
import pytest
import soundfile

from components.audio.decoding import streaming
from components.audio.decoding.clip_reader import read_clips
from components.audio.decoding.decode import DecodeError, decode
from components.audio.decoding.extent import Extent
from components.audio.decoding.measuring import measure
from components.audio.duplicates import find_duplicates
from components.audio.params import AudioParams

PARAMS = AudioParams(clip_seconds=0.5, clips_per_track=2)
SECONDS = 8


def _id3(size: int, content: bytes = b"\xff\xfb\x90\x64") -> bytes:
    digits = bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
    repeated = content * (size // len(content) + 1)
    return b"ID3\x03\x00\x00" + digits + repeated[:size]


TAGS = {
    "none": lambda stream: stream,
    "ID3v1": lambda stream: stream + b"TAG" + bytes(125),
    "a cover": lambda stream: _id3(600_000) + stream,
    "APE": lambda stream: stream + b"APETAGEX" + bytes(5000),
    "zeros": lambda stream: stream + bytes(4096),
    "both": lambda stream: _id3(333) + stream + b"TAG" + bytes(125),
}


def _encode(path: pathlib.Path, rate_hz: int, channels: int, mode: str) -> bytes:
    """Return an mp3 without its length header; the complete file is at `path`."""
    rng = np.random.default_rng(rate_hz + channels)
    # Loud and soft parts, so that a variable bit rate varies.
    level = np.repeat(rng.uniform(0.001, 0.3, SECONDS), rate_hz)[:, None]
    soundfile.write(
        path, level * rng.normal(0, 1, (SECONDS * rate_hz, channels)), rate_hz, bitrate_mode=mode
    )
    content = path.read_bytes()
    tag = max(content.find(b"Xing", 0, 100), content.find(b"Info", 0, 100))
    assert tag > 0
    # The next frame starts like the first, except for bit rate and padding.
    second = next(
        at
        for at in range(tag, 5000)
        if content[at : at + 2] == content[:2] and content[at + 3] >> 6 == content[3] >> 6
        and content[at + 2] & 0x0C == content[2] & 0x0C
    )  # fmt: skip
    return content[second:]


CASES = list(
    itertools.product((44100, 32000, 22050, 11025, 8000), (1, 2), ("CONSTANT", "VARIABLE"))
)


@pytest.mark.parametrize(("rate_hz", "channels", "mode"), CASES)
def test_all_of_the_song_is_read_as_it_is_with_its_length_told(
    tmp_path: pathlib.Path, rate_hz: int, channels: int, mode: str
) -> None:
    stream = _encode(tmp_path / "told.mp3", rate_hz, channels, mode)
    told, _ = decode(tmp_path / "told.mp3")
    (tmp_path / "bare.mp3").write_bytes(stream)
    bare, found_rate_hz = decode(tmp_path / "bare.mp3")
    assert found_rate_hz == rate_hz
    # Without the tag, which has the encoder's delay, silence remains at both ends.
    delay = next(
        at
        for at in range(len(bare) - len(told) + 1)
        if np.allclose(bare[at + 4000 : at + 5000], told[4000:5000], atol=1e-6)
    )
    assert len(told) == SECONDS * rate_hz
    assert 0 <= len(bare) - len(told) <= 4 * 1152
    np.testing.assert_allclose(bare[delay : delay + len(told)], told, atol=1e-5)


def test_tags_make_no_other_song_of_it(tmp_path: pathlib.Path) -> None:
    stream = _encode(tmp_path / "told.mp3", 44100, 2, "VARIABLE")
    entries = []
    for name, tag in TAGS.items():
        path = tmp_path / f"{name}.mp3"
        path.write_bytes(tag(stream))
        clips = read_clips(path, PARAMS, lambda samples: [0, samples - PARAMS.clip_samples])
        assert clips.track_samples / 22050 == pytest.approx(SECONDS, abs=0.1), name
        entries.append((name, str(path), clips.fingerprint))
    found = find_duplicates(entries)
    assert found == {name: "APE" for name in TAGS if name != "APE"}


def test_a_length_that_is_told_is_left_alone(tmp_path: pathlib.Path) -> None:
    _encode(tmp_path / "told.mp3", 44100, 2, "VARIABLE")
    assert measure(tmp_path / "told.mp3").source is None
    (tmp_path / "tagged.mp3").write_bytes(_id3(5000) + (tmp_path / "told.mp3").read_bytes())
    assert measure(tmp_path / "tagged.mp3").source is None


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "AU"])
def test_other_formats_are_left_alone(tmp_path: pathlib.Path, kind: str) -> None:
    soundfile.write(tmp_path / "a", np.zeros(22050), 22050, format=kind)
    assert measure(tmp_path / "a").source is None


def test_what_lies_between_frames_is_left_out(tmp_path: pathlib.Path) -> None:
    stream = _encode(tmp_path / "told.mp3", 44100, 2, "CONSTANT")
    whole = len(decode(_written(tmp_path / "whole.mp3", stream))[0])
    damaged = stream[:20000] + b"\x11" * 300 + stream[20000:]  # within a frame, which is lost
    found = len(decode(_written(tmp_path / "damaged.mp3", damaged))[0])
    assert 0 <= whole - found <= 2 * 1152
    # Cut within a frame.
    half = len(decode(_written(tmp_path / "half.mp3", stream[: len(stream) // 2]))[0])
    assert half / whole == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(
    "content", [b"", b"I", b"ID3", b"ID3\x03\0\0\x7f\x7f\x7f\x7f", b"\xff\xfb"]
)
def test_what_only_begins_like_an_mp3_is_none(tmp_path: pathlib.Path, content: bytes) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(content)
    assert measure(path) == Extent()
    with pytest.raises(DecodeError):
        decode(path)


# Lengths that are told, and wrong


def _written(path: pathlib.Path, content: bytes) -> pathlib.Path:
    path.write_bytes(content)
    return path


def _frames(stream: bytes) -> list[bytes]:
    """Split a stream of frames at the places where the first two bytes come again."""
    # The encoder's sound has no such bytes at the distance of a frame by chance.
    begins, at = [], 0
    while at + 4 <= len(stream) and stream[at : at + 2] == stream[:2]:
        begins.append(at)
        rate_hz = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}[
            stream[at + 1] >> 3 & 3
        ][stream[at + 2] >> 2 & 3]
        mpeg1 = stream[at + 1] & 8
        table = (
            "32 40 48 56 64 80 96 112 128 160 192 224 256 320"
            if mpeg1
            else "8 16 24 32 40 48 56 64 80 96 112 128 144 160"
        )
        kbits = int(table.split()[(stream[at + 2] >> 4) - 1])
        at += (144000 if mpeg1 else 72000) * kbits // rate_hz + (stream[at + 2] >> 1 & 1)
    return [stream[a:b] for a, b in itertools.pairwise([*begins, at])]


def _side_bytes(frame: bytes) -> int:
    mono, mpeg1 = frame[3] >> 6 == 3, frame[1] & 8
    return (17 if mono else 32) if mpeg1 else (9 if mono else 17)


def _tag_frame(frame: bytes, name: bytes, count: int | None, *, crc: str = "") -> bytes:
    """Return a frame without sound that tells a number of frames; None leaves it out.

    Args:
      frame: a frame of the stream, whose size is large enough.
      name: b"Xing", b"Info" or b"VBRI".
      count: the number.
      crc: "" without a checksum, "moved" with one in front of the tag, "unmoved" with one that
        the tag's place ignores.
    """
    head = bytes([frame[0], frame[1] & ~1 if crc else frame[1] | 1, *frame[2:4]])
    number = (count or 0).to_bytes(4, "big")
    if name == b"VBRI":
        body = bytes(32) + b"VBRI" + b"\0\1" + bytes(4) + (9999).to_bytes(4, "big") + number
    else:
        flags = (4 if count is None else 5).to_bytes(4, "big")
        tail = (b"" if count is None else number) + bytes(range(100))
        body = bytes(_side_bytes(frame) + 2 * (crc == "moved")) + name + flags + tail
    return (head + body).ljust(len(frame), b"\0")


@pytest.mark.parametrize(("rate_hz", "channels", "mode"), CASES[::3] + CASES[1::7])
@pytest.mark.parametrize("name", [b"Xing", b"Info", b"VBRI"])
@pytest.mark.parametrize(("count", "crc"), [(0, ""), (None, ""), (0, "moved"), (0, "unmoved")])
def test_a_header_that_tells_no_count_is_none(
    tmp_path: pathlib.Path,
    rate_hz: int,
    channels: int,
    mode: str,
    name: bytes,
    count: int | None,
    crc: str,
) -> None:
    stream = _encode(tmp_path / "told.mp3", rate_hz, channels, mode)
    bare, _ = decode(_written(tmp_path / "bare.mp3", stream))
    largest = max(_frames(stream), key=len)
    tag = _tag_frame(largest, name, count, crc=crc)
    for front in (b"", _id3(300), _id3(300) + _id3(5000) + bytes(700)):
        path = _written(tmp_path / "a.mp3", front + tag + stream)
        np.testing.assert_array_equal(decode(path)[0], bare)
        (part,) = streaming.parts(path, rate_hz, len(bare) + 1)
        assert (len(part.samples), part.faults) == (len(bare), ())


def test_vbri_tells_a_count_that_libsndfile_ignores(tmp_path: pathlib.Path) -> None:
    stream = _encode(tmp_path / "told.mp3", 44100, 2, "VARIABLE")
    bare, _ = decode(_written(tmp_path / "bare.mp3", stream))
    frames = _frames(stream)
    tag = _tag_frame(max(frames, key=len), b"VBRI", len(frames))
    np.testing.assert_array_equal(decode(_written(tmp_path / "a.mp3", tag + stream))[0], bare)
    with pytest.raises(DecodeError, match=r"says 8\.\d s") as caught:
        decode(_written(tmp_path / "a.mp3", (tag + stream)[: len(stream) // 2]))
    assert caught.value.reason == "truncated"


@pytest.mark.parametrize(
    "between", ["nothing", "ID3", "sound in ID3", "ID3v1", "APE", "lyrics", "junk"]
)
@pytest.mark.parametrize("told", [True, False])
def test_songs_that_were_joined_are_all_read(
    tmp_path: pathlib.Path, between: str, told: bool
) -> None:
    _encode(tmp_path / "told.mp3", 44100, 2, "VARIABLE")
    song = (tmp_path / "told.mp3").read_bytes()
    second = bytearray(song)
    stream = song if told else _encode(tmp_path / "again.mp3", 44100, 2, "VARIABLE")
    gap = {
        "nothing": b"",
        "ID3": _id3(70_000),
        "sound in ID3": _id3(len(song), song),
        "ID3v1": b"TAG" + bytes(range(125)),
        "APE": b"APETAGEX" + (2000).to_bytes(4, "little") + (3032).to_bytes(4, "little")
        + bytes(16) + b"\x7f" * 3000,
        "lyrics": b"LYRICSBEGIN" + b"la " * 500 + b"LYRICS200",
        "junk": np.random.default_rng(0).bytes(4000),
    }[between]  # fmt: skip
    path = _written(tmp_path / "a.mp3", gap.join((stream, bytes(second), stream)))
    samples, rate_hz = decode(path)
    assert len(samples) / rate_hz == pytest.approx(3 * SECONDS, abs=0.3)
    # The second song's sound is there.
    alone, _ = decode(tmp_path / "told.mp3")
    middle = samples[len(samples) // 3 : 2 * len(samples) // 3]
    level = np.sqrt(np.mean(np.square(alone)))
    assert np.sqrt(np.mean(np.square(middle))) == pytest.approx(level, rel=0.05)
    clips = read_clips(path, PARAMS, lambda samples: [0, samples - PARAMS.clip_samples])
    whole = read_clips(path, PARAMS, lambda n: [0, n - PARAMS.clip_samples], strict=True)
    assert clips.track_samples == whole.track_samples
    np.testing.assert_allclose(clips.waveforms, whole.waveforms, atol=2e-6)


def test_a_count_that_is_too_low_hides_nothing_and_one_too_high_is_a_cut(
    tmp_path: pathlib.Path,
) -> None:
    stream = _encode(tmp_path / "told.mp3", 44100, 2, "CONSTANT")
    frames = _frames(stream)
    for count in (1, len(frames) // 2, len(frames) - 60):
        tag = _tag_frame(frames[0], b"Info", count)
        samples, _ = decode(_written(tmp_path / "low.mp3", tag + stream))
        assert len(samples) // 1152 == pytest.approx(len(frames), abs=2)
    high = _written(tmp_path / "high.mp3", _tag_frame(frames[0], b"Info", 999) + stream)
    with pytest.raises(DecodeError, match=r"8\.\d s of audio, but its header says 26\.1 s"):
        decode(high)
    *_, last = streaming.parts(high, 44100, 44100)
    assert [fault.reason for fault in last.faults] == ["truncated"]
    # Within a second the header is believed: encoders count one frame more or less.
    close = _written(
        tmp_path / "close.mp3", _tag_frame(frames[0], b"Info", len(frames) - 20) + stream
    )
    assert measure(close) == Extent()


@pytest.mark.parametrize(("rate_hz", "channels"), [(22050, 2), (44100, 1), (32000, 1)])
def test_another_rate_or_number_of_channels_is_not_read_and_said(
    tmp_path: pathlib.Path, rate_hz: int, channels: int
) -> None:
    stereo = _encode(tmp_path / "a.mp3", 44100, 2, "CONSTANT")
    other = _encode(tmp_path / "b.mp3", rate_hz, channels, "CONSTANT")
    half = b"".join(_frames(other)[: len(_frames(other)) // 2])
    detail = (
        r"8\.\d s of audio are read and about [34]\.\d s are not: its sample rate or its number "
        "of channels changes"
    )
    for content in (stereo + half, half + stereo, (tmp_path / "a.mp3").read_bytes() + half):
        path = _written(tmp_path / "c.mp3", content)
        with pytest.raises(DecodeError, match=detail) as caught:
            decode(path)
        assert caught.value.reason == "unread_audio"
        found = list(streaming.parts(path, 44100, 44100))
        assert [fault.reason for fault in found[-1].faults] == ["unread_audio"]
        # The longer part is read.
        assert sum(len(part.samples) for part in found) / 44100 == pytest.approx(8, abs=0.2)
    # A few stray frames are no song.
    path = _written(tmp_path / "c.mp3", stereo + b"".join(_frames(other)[:9]))
    assert len(decode(path)[0]) / 44100 == pytest.approx(8, abs=0.2)
