"""The length of mp3 files without a length header.

Many encoders write no frame with the length (Xing, Info or VBRI). libsndfile then estimates
the length from the file's size, tags and pictures included. The same song seems to have
another length with other tags, and to be truncated if a tag is large. So this module counts
the frames and gives the decoder the same stream with an Info frame in front and without tags.
"""

from __future__ import annotations

import pathlib
from typing import NamedTuple

# An hour at 320 kbit/s has 144 MB. A larger file keeps its estimated length.
MAX_BYTES = 256 << 20

# ISO 11172-3 and 13818-3, layer III: kbit/s by index, Hz by index, for MPEG-1 and MPEG-2;
# MPEG-2.5 halves the rates of MPEG-2.
_KBITS = {
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0),
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0),
}
_RATES_HZ = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
# Index of a bit rate at which a frame has room for the Info tag at any sample rate.
_INFO_BIT_RATE = 8
_INFO_FRAMES_AND_BYTES = 3
_MONO = 3


class _Header(NamedTuple):
    """Header of a layer III frame, its first four bytes.

    Attributes:
      kind: version and sample rate, which all frames of a stream share.
      size: length of the frame in bytes.
      side_bytes: length of the side information in bytes.
    """

    kind: tuple[int, int]
    size: int
    side_bytes: int


def with_length(path: pathlib.Path) -> bytes | None:
    """Return an mp3 file's stream with an Info frame in front, or None to use the file as it is.

    None is for files that are no mp3, have a length header, are damaged (the frames do not
    follow each other to the end), or are larger than MAX_BYTES.

    Raises:
      OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        begin = _skip_id3(file.read(10))
        file.seek(begin)
        first = file.read(4096)
        header = _header(first[:4])
        if header is None or _has_length(first, header):
            return None
        file.seek(0, 2)
        if file.tell() - begin > MAX_BYTES:
            return None
        file.seek(begin)
        stream = file.read()
    frames, end = 0, 0
    while (found := _header(stream[end : end + 4])) and found.kind == header.kind:
        if end + found.size > len(stream):
            break
        frames, end = frames + 1, end + found.size
    if not frames or not _may_follow(stream[end:]):
        return None
    return _info_frame(stream[:4], header, frames, end) + stream[:end]


def _skip_id3(start: bytes) -> int:
    """Return the length of an ID3v2 tag at the start of the file (ID3v2.4, section 3.1)."""
    if len(start) < 10 or start[:3] != b"ID3":
        return 0
    size = 0
    for byte in start[6:10]:
        size = size << 7 | byte & 0x7F
    return 10 + size + (10 if start[5] & 0x10 else 0)


def _header(data: bytes) -> _Header | None:
    if len(data) < 4 or data[0] != 0xFF or data[1] & 0xE6 != 0xE2:  # sync and layer III
        return None
    version, rate_index, bits = data[1] >> 3 & 3, data[2] >> 2 & 3, data[2] >> 4
    if version == 1 or rate_index == 3 or bits in (0, 15):
        return None
    mpeg1 = version == 3
    rate_hz = _RATES_HZ[version][rate_index]
    size = (144 if mpeg1 else 72) * _KBITS[mpeg1][bits] * 1000 // rate_hz + (data[2] >> 1 & 1)
    mono = data[3] >> 6 == _MONO
    side = (17 if mono else 32) if mpeg1 else (9 if mono else 17)
    return _Header((version, rate_index), size, side)


def _has_length(frame: bytes, header: _Header) -> bool:
    tag = frame[4 + header.side_bytes :][:4]
    return tag in (b"Xing", b"Info") or frame[36:40] == b"VBRI"


def _may_follow(rest: bytes) -> bool:
    """Return whether `rest` may follow the last whole frame: tags, zeros, a partial frame."""
    tagged = rest.startswith((b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"ID3", b"3DI"))
    return tagged or not rest.strip(b"\0") or (_header(rest[:4]) is not None and len(rest) < 1500)


def _info_frame(first: bytes, header: _Header, frames: int, stream_bytes: int) -> bytes:
    """Return a frame without audio that holds the length: LAME's Info tag, less its extension."""
    # No checksum and no padding; the stream's sample rate and channels.
    words = bytes([0xFF, first[1] | 1, _INFO_BIT_RATE << 4 | first[2] & 0x0C, first[3]])
    info_header = _header(words)
    assert info_header is not None
    tag = _INFO_FRAMES_AND_BYTES.to_bytes(4, "big") + frames.to_bytes(4, "big")
    tag += (stream_bytes + info_header.size).to_bytes(4, "big")
    return (words + bytes(header.side_bytes) + b"Info" + tag).ljust(info_header.size, b"\0")
