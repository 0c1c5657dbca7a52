"""Lengths of the tags around audio."""

from __future__ import annotations

import io

import pytest

from components.audio.decoding.tags import id3v2_bytes, skip_id3v2, tag_bytes

ID3 = b"ID3\4\0\0\0\0\1\x48" + bytes(200)


@pytest.mark.parametrize(
    ("data", "length"),
    [
        (ID3 + b"\xff\xfb", 210),
        (ID3[:5] + b"\x10" + ID3[6:], 220),  # with a footer
        (b"TAG" + bytes(125) + b"\xff", 128),
        (b"APETAGEX\xd0\x07\0\0\x38\0\0\0" + bytes(16) + b"x" * 56, 88),
        (b"LYRICSBEGINla la000018LYRICS200\xff", 31),
        (b"LYRICSBEGINla laLYRICSEND\xff", 25),
        (bytes(77) + b"\xff", 77),
        (b"ID3 \0\0\0\x0aID3\4\0\0", 0),  # a chunk of AIFF or WAV
        (b"\xff\xfb\x90\x64", 0),
        (b"TA", 0),
        (b"", 0),
    ],
)
def test_a_tag_is_as_long_as_it_says(data: bytes, length: int) -> None:
    assert tag_bytes(b"xyz" + data, 3) == length


def test_tags_in_a_row_are_skipped() -> None:
    file = io.BytesIO(ID3 + ID3 + b"fLaC")
    assert (skip_id3v2(file), file.read()) == (420, b"fLaC")
    assert id3v2_bytes(b"ID3\4\0") == 0


def test_lyrics_end_at_the_first_mark_or_the_largest_length() -> None:
    for mark in (b"LYRICS200", b"LYRICSEND"):
        assert tag_bytes(b"LYRICSBEGIN la la " + mark + b"LYRICSEND", 0) == 18 + 9
    assert tag_bytes(b"LYRICSBEGIN" + b"x" * 100, 0) == 111
    assert tag_bytes(b"LYRICSBEGIN" + b"x" * 2_000_000, 0) == 1_000_100


@pytest.mark.timeout(30)
@pytest.mark.parametrize("piece", [b"LYRICSBEGINLYRICSEND", b"LYRICSBEGIN", b"\xff\0"])
def test_many_small_tags_take_linear_time(piece: bytes) -> None:
    """They took half an hour, as each one was searched for up to the end of the data."""
    data = piece * (4_000_000 // len(piece))
    at = 0
    while at < len(data):
        at += tag_bytes(data, at) or 1
    assert at >= len(data)
