"""The length of FLAC files, by the numbers of their frames.

STREAMINFO tells the number of samples. If the encoder wrote to a pipe, it is 0 (or, wrongly, the
largest number). Each frame has its own number and a checksum over its header (RFC 9639, sections
8.2 and 9.1), so the last frame says where the stream ends: 64 KiB from the end of the file, 0.1 ms.
Where streams were joined, numbers begin anew, which frames at seven places between show (0.3 ms).
The whole file is searched only if they do.
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from components.audio.decoding.extent import Extent, Window
from components.audio.decoding.faults import MAX_MISSING_SECONDS

# Begin of a stream: the marker and the head of STREAMINFO, the first block.
_MARKER = b"fLaC"
_STREAM_START = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")
_STREAMINFO_AT, _STREAMINFO_BYTES = 8, 34
# Blocks before the audio; tags, pictures and cue sheets are fewer than ten.
_MAX_METADATA_BLOCKS = 1000
_BLOCK_SIZES_AT = (_STREAMINFO_AT, _STREAMINFO_AT + 2)
_TOTAL_AT = _STREAMINFO_AT + 13
_MAX_TOTAL = (1 << 36) - 1
# At most this much is searched for one frame; frames of music have 1 to 30 KB.
_PROBE_BYTES = 64 << 10
_MAX_TAIL_BYTES = 4 << 20
_PROBES = 8
_BLOCK_BYTES = 1 << 20
# Samples by the code in a frame's header; 6 and 7 announce one and two bytes with the number.
_BLOCK_SAMPLES = {1: 192, **{code: 144 << code for code in range(2, 6)},
                  **{code: 1 << code for code in range(8, 16)}}  # fmt: skip


class _Frame(NamedTuple):
    """Frame at byte `at`, with samples [first, last)."""

    at: int
    first: int
    last: int


class _Stream(NamedTuple):
    """Facts of a stream that all its frames share.

    Attributes:
      sync: the first two bytes of a frame.
      codes: the codes of sample rate and bits per sample.
      block_samples: samples per frame, if they have numbers; 0 if their first samples have.
    """

    sync: bytes
    codes: tuple[int, int]
    block_samples: int


def measure(path: pathlib.Path, begin: int) -> Extent:
    """Compare the number of samples that a FLAC file tells with its last frame's.

    Args:
      path: the file.
      begin: offset of the marker "fLaC", behind tags.

    Raises:
      OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(begin)
        head = file.read(_STREAMINFO_AT + _STREAMINFO_BYTES)
        audio_at = _audio_at(file, begin)
        if len(head) < _STREAMINFO_AT + _STREAMINFO_BYTES or audio_at is None:
            return Extent()
        info = int.from_bytes(head[_TOTAL_AT - 3 : _TOTAL_AT + 5], "big")
        rate_hz, told = info >> 44, info & _MAX_TOTAL
        if told == _MAX_TOTAL:
            told = 0
        stream = _stream(file, audio_at)
        smallest, largest = (int.from_bytes(head[at : at + 2], "big") for at in _BLOCK_SIZES_AT)
        if stream and stream.block_samples and smallest != largest:
            return Extent()  # before FLAC 1.2, blocks of all sizes had consecutive numbers
        if stream is None or not rate_hz:
            return Extent(no_audio=told > 0 and audio_at >= size)
        last = _last_frame(file, stream, audio_at, size)
        if last is None:
            return Extent()
        joined_at = None
        if last.last != told or not _is_in_order(file, stream, audio_at, last):
            joined_at = _next_stream(file, audio_at)
            if joined_at is not None:
                last = _last_frame(file, stream, audio_at, joined_at) or last

        is_complete = last.last == told or (joined_at is None and _is_complete(file, last.at))

    def window(end: int, samples: int) -> Window:
        total = info & ~_MAX_TOTAL | samples
        return Window(path, end, {begin + _TOTAL_AT - 3: total.to_bytes(8, "big")})

    if joined_at is not None:
        return Extent(
            source=window(joined_at, last.last),
            unread="another FLAC stream follows the first",
            unread_share=(size - joined_at) / (joined_at - audio_at),
        )
    end, there = (size, last.last) if is_complete else (last.at, last.first)
    if not there:
        return Extent(no_audio=True)
    if not told:
        cut = "" if is_complete else "its last frame is incomplete"
        return Extent(source=window(end, there), cut=cut)
    if there < told:
        return Extent(source=window(end, there), told=told / there)
    if there - told <= MAX_MISSING_SECONDS * rate_hz:
        return Extent()
    return Extent(source=window(end, there))


def _audio_at(file: BinaryIO, begin: int) -> int | None:
    """Return the offset of the first frame, or None if the blocks before it are damaged."""
    at = begin + len(_MARKER)
    for _ in range(_MAX_METADATA_BLOCKS):
        file.seek(at)
        head = file.read(4)
        if len(head) < 4:
            return None
        at += 4 + int.from_bytes(head[1:], "big")
        if head[0] & 0x80:  # the last block
            return at
    return None


def _stream(file: BinaryIO, audio_at: int) -> _Stream | None:
    file.seek(audio_at)
    head = file.read(16)
    for stream in (_Stream(sync, _codes(head), 0) for sync in (b"\xff\xf8", b"\xff\xf9")):
        if frame := _frame(head, 0, audio_at, stream):
            samples = frame.last - frame.first
            return stream if stream.sync[1] & 1 else stream._replace(block_samples=samples)
    return None


def _is_in_order(file: BinaryIO, stream: _Stream, audio_at: int, last: _Frame) -> bool:
    """Return whether frames between the first and the last have ascending numbers."""
    before = 0
    for index in range(1, _PROBES):
        at = audio_at + (last.at - audio_at) * index // _PROBES
        file.seek(at)
        frame = next(_frames(file.read(_PROBE_BYTES), at, stream), None)
        if frame is None:
            continue
        if not before <= frame.first <= last.first:
            return False
        before = frame.first
    return True


def _next_stream(file: BinaryIO, audio_at: int) -> int | None:
    """Return the offset of the next stream's marker, or None if there is none."""
    file.seek(audio_at)
    at, data = audio_at, b""
    while block := file.read(_BLOCK_BYTES):
        data = data[-16:] + block  # a marker may lie across two blocks
        if found := _STREAM_START.search(data):
            return at + len(block) - len(data) + found.start()
        at += len(block)
    return None


def _last_frame(file: BinaryIO, stream: _Stream, low: int, high: int) -> _Frame | None:
    """Return the last frame whose header lies in the bytes [low, high), or None."""
    length = _PROBE_BYTES
    while True:
        begin = max(low, high - length)
        file.seek(begin)
        data = file.read(high - begin)
        at = len(data)
        while (at := data.rfind(stream.sync, 0, at)) >= 0:
            if frame := _frame(data, at, begin, stream):
                return frame
        if begin == low or length >= _MAX_TAIL_BYTES:
            return None
        length *= 8


def _is_complete(file: BinaryIO, at: int) -> bool:
    """Return whether the frame that begins at an offset reaches to the file's end or its tags."""
    file.seek(at)
    data = file.read()
    ends = [len(data), *(data.rfind(tag) for tag in (b"TAG", b"APETAGEX", b"ID3"))]
    return any(end > 0 and not _crc16(data[:end]) for end in ends)


def _frames(data: bytes, origin: int, stream: _Stream) -> Iterator[_Frame]:
    at = -1
    while (at := data.find(stream.sync, at + 1)) >= 0:
        if frame := _frame(data, at, origin, stream):
            yield frame


def _frame(data: bytes, at: int, origin: int, stream: _Stream) -> _Frame | None:
    """Return the frame whose header lies at `data[at:]`, or None if none does.

    Args:
      data: bytes of the file from `origin`.
      at: offset in the data.
      origin: offset of the data in the file.
      stream: what the frame must have in common with the first one.
    """
    head = data[at : at + 16]
    if head[:2] != stream.sync or _codes(head) != stream.codes:
        return None
    # The number is coded as UTF-8 codes characters, with up to seven bytes.
    ones = 8 - (~head[4] & 0xFF).bit_length()
    if ones == 1 or ones > 7:
        return None
    number, end = head[4] & 0x7F >> ones, 4 + max(1, ones)
    for byte in head[5:end]:
        number = number << 6 | byte & 0x3F
    block_code, rate_code = head[2] >> 4, head[2] & 0x0F
    more = {6: 1, 7: 2}.get(block_code, 0)
    if more:
        samples = int.from_bytes(head[end : end + more], "big") + 1
    elif block_code in _BLOCK_SAMPLES:
        samples = _BLOCK_SAMPLES[block_code]
    else:
        return None
    end += more + {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    if end >= len(head) or _crc8(head[:end]) != head[end]:
        return None
    first = number * (stream.block_samples or 1)
    return _Frame(origin + at, first, first + samples)


def _codes(head: bytes) -> tuple[int, int]:
    """Return the codes of sample rate and bits per sample, and reserved bits."""
    return (head[2] & 0x0F, head[3] & 0x0F) if len(head) > 4 else (0, 0)


def _crc8(data: bytes) -> int:
    """Return the checksum of a frame's header (RFC 9639, section 9.1.8)."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ (0x07 if crc & 0x80 else 0)) & 0xFF
    return crc


def _crc16(data: bytes) -> int:
    """Return the checksum of a frame (RFC 9639, section 9.3); 0 if it includes its own."""
    crc = 0
    for byte in data:
        crc = (crc << 8 & 0xFFFF) ^ _CRC16_TABLE[crc >> 8 ^ byte]
    return crc


def _crc16_of_byte(crc: int) -> int:
    crc <<= 8
    for _ in range(8):
        crc = crc << 1 ^ (0x8005 if crc & 0x8000 else 0)
    return crc & 0xFFFF


_CRC16_TABLE = [_crc16_of_byte(byte) for byte in range(256)]
