"""The end of Ogg files (Vorbis, Opus, FLAC), by their pages.

The last page of a stream has a mark (RFC 3533, section 6), which all usual encoders write: a file
without it was cut, or its writer was stopped. libsndfile reads it as far as it goes, and of
several streams one after another only the first. The last page is found in 64 KiB at the end of
the file (0.05 ms), and pages at seven places between show whether streams were joined (0.2 ms).
Only then the whole file is searched for the first stream's end.
"""

from __future__ import annotations

import pathlib
from typing import BinaryIO, NamedTuple

from components.audio.decoding.extent import Extent, Window

_CAPTURE = b"OggS\0"
_HEADER_BYTES = 27
_FIRST, _LAST = 2, 4
_MAX_PAGE_BYTES = 65307
# Tags or padding may follow the last page.
_MAX_TAIL_BYTES = 1 << 20
_PROBES = 8
_BLOCK_BYTES = 1 << 20


class _Page(NamedTuple):
    """Page at byte `at`.

    Attributes:
      at: offset in the file.
      flags: _FIRST and _LAST of its stream, and others.
      serial: number of its stream.
      sequence: number of the page in its stream.
      is_complete: whether all of it is there.
    """

    at: int
    flags: int
    serial: int
    sequence: int
    is_complete: bool


def measure(path: pathlib.Path, begin: int) -> Extent:
    """Look for the mark of the stream's end, and for streams behind the first.

    Args:
      path: the file.
      begin: offset of the first page.

    Raises:
      OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        first, last = _next_page(file, begin), _last_page(file, begin, size)
        if first is None or last is None:
            return Extent()
        joined_at = None
        if not _is_in_order(file, first, last):
            joined_at = _next_group(file, begin)
            if joined_at is not None:
                last = _last_page(file, begin, joined_at) or last
    if joined_at is not None:
        return Extent(
            source=Window(path, joined_at, {}),
            unread="another stream follows the first",
            unread_share=(size - joined_at) / (joined_at - begin),
        )
    is_cut = not (last.flags & _LAST and last.is_complete)
    return Extent(cut="the mark of its end is missing" if is_cut else "")


def _is_in_order(file: BinaryIO, first: _Page, last: _Page) -> bool:
    """Return whether pages between the first and the last may belong to one stream."""
    before = first.sequence
    for index in range(1, _PROBES + 1):
        page = last
        if index < _PROBES:
            found = _next_page(file, first.at + (last.at - first.at) * index // _PROBES)
            page = last if found is None else found
        if page.serial != first.serial or page.sequence < before:
            return False
        before = page.sequence
    return True


def _next_group(file: BinaryIO, begin: int) -> int | None:
    """Return the offset of a stream's first page behind other pages, or None.

    Streams that are multiplexed have all their first pages at the start of the file.
    """
    file.seek(begin)
    started, origin, data = False, begin, b""
    while block := file.read(_BLOCK_BYTES):
        data += block
        at = -1
        while (at := data.find(_CAPTURE, at + 1)) >= 0 and at + _HEADER_BYTES <= len(data):
            is_first = bool(data[at + 5] & _FIRST)
            if is_first and started:
                return origin + at
            started |= not is_first
        kept = data[-_HEADER_BYTES + 1 :]  # a header may lie across two blocks
        origin, data = origin + len(data) - len(kept), kept
    return None


def _next_page(file: BinaryIO, begin: int) -> _Page | None:
    """Return the first page at or behind an offset, or None if there is none nearby."""
    file.seek(begin)
    data = file.read(_MAX_PAGE_BYTES + _HEADER_BYTES)
    at = data.find(_CAPTURE)
    return None if at < 0 else _page(data, at, begin)


def _last_page(file: BinaryIO, begin: int, end: int) -> _Page | None:
    """Return the last page that begins in the bytes [begin, end), or None."""
    origin = max(begin, end - _MAX_TAIL_BYTES)
    file.seek(origin)
    data = file.read(end - origin)
    at = data.rfind(_CAPTURE)
    return None if at < 0 else _page(data, at, origin)


def _page(data: bytes, at: int, origin: int) -> _Page | None:
    head = data[at : at + _HEADER_BYTES]
    if len(head) < _HEADER_BYTES:
        return _Page(origin + at, 0, 0, 0, False)
    lengths = data[at + _HEADER_BYTES :][: head[26]]
    complete = len(lengths) == head[26] and at + _HEADER_BYTES + len(lengths) + sum(lengths) <= len(
        data
    )
    serial, sequence = (int.from_bytes(head[place : place + 4], "little") for place in (14, 18))
    return _Page(origin + at, head[5], serial, sequence, complete)
