"""The containers that FFmpeg's libraries read here, recognised by their first bytes.

Only these demuxers are ever used, and each only for content with its signature: no playlists,
no subtitles, no formats that open other files.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterator
from typing import BinaryIO, Literal, NamedTuple

from components.audio.decoding.tags import id3v2_bytes

HEAD_BYTES = 64


@dataclasses.dataclass(frozen=True)
class Container:
    """Container format.

    Attributes:
      name: its usual name.
      demuxer: FFmpeg's demuxer.
      told: where its length is told: for the "stream", for the whole "file", in the "asf"
        header, or nowhere (""; what FFmpeg then says is an estimate).
      exact: the length is told to the sample. A few more are the encoder's padding.
    """

    name: str
    demuxer: str
    told: Literal["stream", "file", "asf", ""] = "stream"
    exact: bool = False


MP4 = Container("MPEG-4", "mov", exact=True)
ASF = Container("Windows Media", "asf", "asf")
ADTS = Container("AAC stream", "aac", "")
AC3 = Container("Dolby AC-3", "ac3", "")
EAC3 = Container("Dolby E-AC-3", "eac3", "")

_ASF_GUID = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
# Offset, signature, container.
_SIGNATURES: tuple[tuple[int, bytes, Container], ...] = (
    *((4, kind, MP4) for kind in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")),
    (0, b"\x1a\x45\xdf\xa3", Container("Matroska or WebM", "matroska", "file")),
    (0, _ASF_GUID, ASF),
    (0, b"MAC ", Container("Monkey's Audio", "ape", exact=True)),
    (0, b"wvpk", Container("WavPack", "wv", exact=True)),
    (0, b"TTA1", Container("True Audio", "tta", exact=True)),
    (0, b"tBaK", Container("TAK", "tak", exact=True)),
    (0, b"MP+", Container("Musepack", "mpc", exact=True)),
    (0, b"MPCK", Container("Musepack", "mpc8")),
    (0, b"DSD ", Container("DSD", "dsf", exact=True)),
    (0, b"FRM8", Container("DSD", "iff", exact=True)),
    (0, b"#!AMR\n", Container("AMR", "amr", "")),
    (0, b"#!AMR-WB\n", Container("AMR", "amr", "")),
    (28, b"Speex   ", Container("Speex", "ogg")),
    (28, b"\x7fFLAC", Container("Ogg FLAC", "ogg")),
)  # fmt: skip

# ISO 14496-12: stsd, its version and flags, one entry, its length, its kind.
_PROTECTED_ENTRY = re.compile(rb"stsd.{12}(drms|enca|aavd)", re.DOTALL)
# No index of an hour's audio is as long.
_MAX_INDEX_BYTES = 64 << 20
_MAX_BOXES = 10000

# Advanced Systems Format, section 10.
_ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_ENCRYPTION = (
    bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e"),
    bytes.fromhex("14e68a292226174cb935dae07ee9289c"),
)
_ASF_BROADCAST = 1
_MAX_ASF_HEADER_BYTES = 1 << 20


def find_container(file: BinaryIO) -> Container | None:
    """Return the container of a file's content, or None for any other content."""
    begin = _skip_id3(file)
    head = _read_at(file, begin, HEAD_BYTES)
    for offset, signature, container in _SIGNATURES:
        if head[offset : offset + len(signature)] == signature:
            return container
    if head[:2] == b"\x0b\x77" and len(head) > 5:
        # ATSC A/52, bsid: up to 10 is AC-3, 11 to 16 is E-AC-3.
        return AC3 if head[5] >> 3 <= 10 else EAC3
    size = _adts_frame_bytes(head)
    if size and _adts_frame_bytes(_read_at(file, begin + size, HEAD_BYTES)):
        return ADTS
    return None


def find_fault(file: BinaryIO, container: Container) -> str | None:
    """Return why nothing of a file can be decoded, as it is encrypted or cut; None if it may."""
    if container is MP4:
        index = _mp4_index(file)
        if index is None:
            return (
                "its index (moov) is missing: the file was cut off, or its recording did not end; "
                "get a complete copy"
            )
        if found := _PROTECTED_ENTRY.search(index):
            return f"it is encrypted ({found[1].decode()}); use a copy without DRM"
    if container is ASF and any(mark in _asf_header(file) for mark in _ASF_ENCRYPTION):
        return "it is encrypted (Windows Media DRM); use a copy without DRM"
    return None


def mp4_end(file: BinaryIO) -> Literal["whole", "cut", "joined"]:
    """Return how an MP4 file ends: inside its sound or an index of it, or with another file."""
    size = file.seek(0, os.SEEK_END)
    boxes = list(_mp4_boxes(file))
    if any(box.end > size for box in boxes if box.kind in (b"mdat", b"moof")):
        return "cut"
    return "joined" if sum(box.kind == b"moov" for box in boxes) > 1 else "whole"


def asf_seconds(file: BinaryIO) -> float | None:
    """Return the length that an ASF file's header tells; None if it tells none.

    FFmpeg tells an estimate if the file's size is not the header's, as after a cut.
    """
    header = _asf_header(file)
    at = header.find(_ASF_FILE_PROPERTIES)
    values = header[at + 24 : at + 104]
    if at < 0 or len(values) < 80 or values[64] & _ASF_BROADCAST:
        return None
    play = int.from_bytes(values[40:48], "little") / 1e7
    preroll = int.from_bytes(values[56:64], "little") / 1e3
    return play - preroll if play > preroll else None


def _read_at(file: BinaryIO, position: int, size: int) -> bytes:
    file.seek(position)
    return file.read(size)


def _skip_id3(file: BinaryIO) -> int:
    """Return the length of ID3v2 tags at the start of the file."""
    begin = 0
    while size := id3v2_bytes(_read_at(file, begin, 10)):
        begin += size
    return begin


def _adts_frame_bytes(head: bytes) -> int:
    """Return the length of an AAC frame by its header (ISO 13818-7, 6.2), or 0 for other data."""
    if len(head) < 7 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0 or head[2] >> 2 & 15 > 12:
        return 0
    size = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    return size if size > 7 else 0


class _Box(NamedTuple):
    """Box of an MP4 file, from `begin` to `end` by its own length."""

    kind: bytes
    begin: int
    end: int


def _mp4_boxes(file: BinaryIO) -> Iterator[_Box]:
    """Read the heads of the boxes on top (ISO 14496-12, 4.2)."""
    size = file.seek(0, os.SEEK_END)
    position = 0
    for _ in range(_MAX_BOXES):
        if position >= size:
            return
        start = _read_at(file, position, 16)
        length, shortest = int.from_bytes(start[:4], "big"), 8
        if length == 1:
            length, shortest = int.from_bytes(start[8:16], "big"), 16
        elif length == 0:  # up to the end of the file
            length = size - position
        if len(start) < shortest or length < shortest:
            return
        yield _Box(start[4:8], position, position + length)
        position += length


def _mp4_index(file: BinaryIO) -> bytes | None:
    """Return the moov box, or None if there is none."""
    for box in _mp4_boxes(file):
        if box.kind == b"moov":
            return _read_at(file, box.begin, min(box.end - box.begin, _MAX_INDEX_BYTES))
    return None


def _asf_header(file: BinaryIO) -> bytes:
    size = int.from_bytes(_read_at(file, 16, 8), "little")
    return _read_at(file, 0, min(size, _MAX_ASF_HEADER_BYTES))
