"""The length of files of stored samples: WAV, RF64, Wave64, AIFF, CAF and AU.

One chunk of such a file holds the audio, and its header tells its size. Programs that write to a
pipe cannot go back to fill it in and leave 0, -1 or the largest number. libsndfile understands
some of these; it ignores that an AIFF, an RF64 or a Wave64 file is cut, and refuses CAF files
that are cut or written to a pipe. So the decoder sees the size of what is there. Comparing takes
0.05 ms, as only headers are read.
"""

from __future__ import annotations

import os
import pathlib
import string
from typing import BinaryIO, Literal, NamedTuple

from components.audio.decoding.extent import Extent, Window
from components.audio.decoding.tags import tag_bytes

# Programs that do not know the length yet write all bits set, or nearly so.
UNKNOWN_LENGTH_32, _UNKNOWN_64 = 0x7FFF0000, 1 << 62
_ALL_32 = 0xFFFFFFFF
_WAVE64_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")
_MAX_CHUNKS = 1000
# Chunks that begin another file or hold more audio.
_NEVER_BEHIND = {b"RIFF", b"RIFX", b"RF64", b"BW64", b"FORM", b"riff", b"data", b"SSND", b"caff"}
_NAME_BYTES = frozenset((string.ascii_letters + string.digits + " _-.()[]©").encode("latin-1"))


class _Sizes(NamedTuple):
    """Places where a container has the sizes of its chunks.

    Attributes:
      order: order of the bytes.
      name_bytes: length of a chunk's name.
      size_bytes: length of its size.
      own: the size counts the name and itself.
      align: chunks begin at multiples of this.
      audio: name of the chunk with audio.
      before: bytes of that chunk before the audio.
    """

    order: Literal["little", "big"]
    name_bytes: int
    size_bytes: int
    own: bool
    align: int
    audio: bytes
    before: int


_RIFF = _Sizes("little", 4, 4, False, 2, b"data", 0)
_RIFX = _RIFF._replace(order="big")
_WAVE64 = _Sizes("little", 16, 8, True, 8, b"data" + _WAVE64_TAIL, 0)
_AIFF = _Sizes("big", 4, 4, False, 2, b"SSND", 8)
_CAF = _Sizes("big", 4, 8, False, 1, b"data", 4)
_AU = _Sizes("big", 0, 4, False, 1, b"", 0)
_AU_LITTLE = _AU._replace(order="little")


class _Audio(NamedTuple):
    """Samples of a file.

    Attributes:
      at: offset of the first.
      told: their number of bytes by the header.
      field: offset of that number in the file.
      field_bytes: its length.
      more: how much more than the samples the number counts.
    """

    at: int
    told: int
    field: int
    field_bytes: int
    more: int


def is_container(head: bytes) -> bool:
    """Return whether the first 40 bytes of a file are those of such a container."""
    return _container(head) is not None


def measure(path: pathlib.Path) -> Extent:
    """Compare the size of the samples with what is there.

    Raises:
      OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        head = file.read(40)
        container = _container(head)
        if container is None:
            return Extent()
        sizes, first = container
        audio = _find(file, sizes, first) if sizes.audio else _au(head, sizes)
        if audio is None:
            return Extent()
        there = size - audio.at
        end = audio.at + audio.told
        rest_at = {end, end + -audio.told % sizes.align}
        if audio.told <= there and any(_is_described(file, at, size, sizes) for at in rest_at):
            # libsndfile reads a Wave64 to the end of the file, with the chunks behind the audio.
            source = Window(path, end, {}) if sizes is _WAVE64 and end + 8 <= size else None
            return Extent(source=source)

    def shown(count: int) -> Window:
        told = (count + audio.more).to_bytes(audio.field_bytes, sizes.order)
        return Window(path, audio.at + count, {audio.field: told})

    unknown = audio.told >= (UNKNOWN_LENGTH_32 if audio.field_bytes == 4 else _UNKNOWN_64)
    if there <= 0:
        return Extent(no_audio=there < 0 or not unknown)
    if audio.told <= 0 or unknown:
        # A recorder's file of some hours may hold more than its header can tell.
        most = (1 << 8 * audio.field_bytes) - 1 - audio.more
        if there > most:
            return Extent(
                source=shown(most),
                unread=f"{there - most} bytes follow that its header cannot describe",
                unread_share=(there - most) / most,
            )
        return Extent(source=shown(there))
    if audio.told > there:
        return Extent(source=shown(there), told=audio.told / there)
    return Extent(
        source=shown(audio.told),
        unread=f"{there - audio.told} bytes follow that its header does not describe",
        unread_share=(there - audio.told) / audio.told,
    )


def _container(head: bytes) -> tuple[_Sizes, int] | None:
    """Return how a container has its sizes, and the offset of its first chunk; None for others."""
    match head[:4], head[8:12]:
        case (b"RIFF" | b"RF64" | b"BW64", b"WAVE"):
            return _RIFF, 12
        case (b"RIFX", b"WAVE"):
            return _RIFX, 12
        case (b"FORM", b"AIFF" | b"AIFC"):
            return _AIFF, 12
        case (b"caff", _):
            return _CAF, 8
        case (b".snd", _):
            return _AU, 0
        case (b"dns.", _):
            return _AU_LITTLE, 0
        case (b"riff", _) if head[24:40] == b"wave" + _WAVE64_TAIL:
            return _WAVE64, 40
    return None


def _find(file: BinaryIO, sizes: _Sizes, at: int) -> _Audio | None:
    """Return the samples of a file of chunks, or None if its chunks are damaged."""
    large = None
    for _ in range(_MAX_CHUNKS):
        name, told = _chunk(file, sizes, at)
        if name is None:
            return None
        payload = at + sizes.name_bytes + sizes.size_bytes
        if name == sizes.audio:
            field, field_bytes = at + sizes.name_bytes, sizes.size_bytes
            if large and told == _ALL_32:
                field, field_bytes = large, 8
                file.seek(field)
                told = int.from_bytes(file.read(8), "little")
            first = payload + sizes.before
            return _Audio(first, told - sizes.before, field, field_bytes, sizes.before + (
                sizes.name_bytes + sizes.size_bytes if sizes.own else 0))  # fmt: skip
        if told < 0:
            return None
        if name == b"ds64":  # of RF64: the size of the file, then that of the data
            large = payload + 8
        at = payload + told
        at += -at % sizes.align
    return None


def _chunk(file: BinaryIO, sizes: _Sizes, at: int) -> tuple[bytes | None, int]:
    """Return a chunk's name and the size of its payload; no name at the end of the file."""
    if at >= os.fstat(file.fileno()).st_size:
        return None, 0
    file.seek(at)
    head = file.read(sizes.name_bytes + sizes.size_bytes)
    if len(head) < sizes.name_bytes + sizes.size_bytes:
        return None, 0
    size = int.from_bytes(head[sizes.name_bytes :], sizes.order)
    return head[: sizes.name_bytes], size - (len(head) if sizes.own else 0)


def _au(head: bytes, sizes: _Sizes) -> _Audio | None:
    """Return the samples of an AU file, whose header has fixed places, or None if it is wrong."""
    at, told = (int.from_bytes(head[place : place + 4], sizes.order) for place in (4, 8))
    return _Audio(at, told, 8, 4, 0) if at >= 24 else None


def _is_described(file: BinaryIO, at: int, size: int, sizes: _Sizes) -> bool:
    """Return whether the bytes from `at` to the end are chunks, tags or zeros."""
    for _ in range(_MAX_CHUNKS):
        if size - at < sizes.name_bytes + sizes.size_bytes:
            return True
        file.seek(at)
        data = file.read(1 << 16)
        if skipped := tag_bytes(data, 0):
            at += skipped
            continue
        name, told = _chunk(file, sizes, at)
        if not name or name[:4] in _NEVER_BEHIND or not _NAME_BYTES.issuperset(name[:4]):
            return False
        at += sizes.name_bytes + sizes.size_bytes + max(0, told)
        if at > size + sizes.align:
            return False
        at += -at % sizes.align
    return False
