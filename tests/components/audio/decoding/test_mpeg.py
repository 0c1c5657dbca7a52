"""mp3 files without a length header are read completely, whatever tags surround them."""

from __future__ import annotations

import itertools
import pathlib

import numpy as np
import pytest
import soundfile

from components.audio.decoding.clip_reader import read_clips
from components.audio.decoding.decode import DecodeError, decode
from components.audio.decoding.mpeg import with_length
from components.audio.duplicates import find_duplicates
from components.audio.params import AudioParams

PARAMS = AudioParams(clip_seconds=0.5, clips_per_track=2)
SECONDS = 8


def _id3(size: int) -> bytes:
    digits = bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x03\x00\x00" + digits + b"\xff\xfb\x90\x64" * (size // 4) + bytes(size % 4)


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
    assert with_length(tmp_path / "told.mp3") is None
    (tmp_path / "tagged.mp3").write_bytes(_id3(5000) + (tmp_path / "told.mp3").read_bytes())
    assert with_length(tmp_path / "tagged.mp3") is None


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "AU"])
def test_other_formats_are_left_alone(tmp_path: pathlib.Path, kind: str) -> None:
    soundfile.write(tmp_path / "a", np.zeros(22050), 22050, format=kind)
    assert with_length(tmp_path / "a") is None


def test_frames_that_do_not_follow_each_other_are_not_counted(tmp_path: pathlib.Path) -> None:
    stream = _encode(tmp_path / "told.mp3", 44100, 2, "CONSTANT")
    path = tmp_path / "damaged.mp3"
    path.write_bytes(stream[:20000] + b"\x11" * 300 + stream[20000:])
    assert with_length(path) is None
    path.write_bytes(stream[: len(stream) // 2])  # ends within a frame
    measured = with_length(path)
    assert measured is not None
    assert len(decode(path)[0]) / 44100 == pytest.approx(SECONDS / 2, rel=0.2)


@pytest.mark.parametrize(
    "content", [b"", b"I", b"ID3", b"ID3\x03\0\0\x7f\x7f\x7f\x7f", b"\xff\xfb"]
)
def test_what_only_begins_like_an_mp3_is_none(tmp_path: pathlib.Path, content: bytes) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(content)
    assert with_length(path) is None
    with pytest.raises(DecodeError):
        decode(path)
