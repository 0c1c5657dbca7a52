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
