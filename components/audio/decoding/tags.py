"""Tags around the audio of a file, which are no part of any stream (ID3, APE, Lyrics3)."""

from __future__ import annotations

import re
from typing import BinaryIO

ID3V1_BYTES = 128
_MAX_ID3_VERSION = 9
_APE_BYTES = 32
# Lyrics3 1 has up to 5,100 bytes. The size of Lyrics3 2 has six digits.
_MAX_LYRICS_BYTES = 1_000_100
_LYRICS_END = re.compile(rb"LYRICS(?:200|END)")
_ZEROS = re.compile(rb"\0+")


def id3v2_bytes(start: bytes) -> int:
    """Return the length of an ID3v2 tag at the start of `start`, else 0 (ID3v2.4, section 3.1)."""
    # A version beyond is none: AIFF and WAV have chunks of the name "ID3 ".
    if len(start) < 10 or start[:3] != b"ID3" or start[3] > _MAX_ID3_VERSION:
        return 0
    size = 0
    for byte in start[6:10]:
        size = size << 7 | byte & 0x7F
    return 10 + size + (10 if start[5] & 0x10 else 0)


def skip_id3v2(file: BinaryIO) -> int:
    """Move an open file behind the ID3v2 tags at its start, and return that offset."""
    begin = 0
    file.seek(0)
    while size := id3v2_bytes(file.read(10)):
        begin += size
        file.seek(begin)
    file.seek(begin)
    return begin


def tag_bytes(data: bytes, at: int) -> int:
    """Return the length of the tag or the padding of zeros that begins at `at`, else 0.

    A tag may be longer than the data, if that was cut.
    """
    head = data[at : at + _APE_BYTES]
    if size := id3v2_bytes(head):
        return size
    if head.startswith(b"TAG"):
        return ID3V1_BYTES
    if head.startswith(b"APETAGEX") and len(head) == _APE_BYTES:
        # The size counts the items and the footer, and not the header (APEv2).
        items = int.from_bytes(head[12:16], "little")
        return items + _APE_BYTES
    if head.startswith(b"LYRICSBEGIN"):
        last = min(len(data), at + _MAX_LYRICS_BYTES)
        found = _LYRICS_END.search(data, at, last)
        return (found.end() if found else last) - at
    found = _ZEROS.match(data, at)
    return found.end() - at if found else 0
