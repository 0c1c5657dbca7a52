"""Audio files that soundfile cannot write, built byte by byte: MPEG layers I and II, MP3 in WAV."""

from __future__ import annotations

import io
import struct

import numpy as np
import numpy.typing as npt
import soundfile

# One of 32 subbands. Two samples up, two down are a tone in its middle.
_SUBBAND = 3
MPEG_RATE_HZ = 44100
# Where the sound of such a file is.
MPEG_BAND_HZ = (_SUBBAND * MPEG_RATE_HZ / 64, (_SUBBAND + 1) * MPEG_RATE_HZ / 64)


class _Bits:
    """Bits of a frame, most significant first."""

    def __init__(self, header: int) -> None:
        self._bits: list[int] = []
        self.put(header, 32)

    def put(self, value: int, count: int) -> None:
        self._bits += [value >> place & 1 for place in reversed(range(count))]

    def to_bytes(self, size: int) -> bytes:
        padded = self._bits + [0] * (8 * size - len(self._bits))
        return np.packbits(np.array(padded, np.uint8)).tobytes()


def layer_1(seconds: float) -> bytes:
    """Return MPEG-1 layer I (ISO 11172-3, 2.4.1.5): mono, 44.1 kHz, 384 kbit/s, no checksum."""
    frame = _Bits(0xFFFFC0C0)
    for subband in range(32):
        frame.put(14 if subband == _SUBBAND else 0, 4)  # 15 bits a sample
    frame.put(9, 6)  # scale factor 2 ** -2
    for index in range(12):
        frame.put(16383 + (8000 if index % 4 < 2 else -8000), 15)
    return frame.to_bytes(384000 * 12 // MPEG_RATE_HZ * 4) * round(seconds * MPEG_RATE_HZ / 384)


def layer_2(seconds: float) -> bytes:
    """Return MPEG-1 layer II (ISO 11172-3, 2.4.1.6): mono, 44.1 kHz, 192 kbit/s, no checksum."""
    frame = _Bits(0xFFFDA0C0)
    for subband in range(30):  # table B.2b
        frame.put(15 if subband == _SUBBAND else 0, 4 if subband < 11 else 3 if subband < 23 else 2)
    frame.put(2, 2)  # one scale factor for the frame
    frame.put(9, 6)
    for index in range(36):  # 16 bits a sample
        frame.put(32767 + (16000 if index % 4 < 2 else -16000), 16)
    return frame.to_bytes(192000 * 144 // MPEG_RATE_HZ) * round(seconds * MPEG_RATE_HZ / 1152)


def mp3_in_wav(samples: npt.NDArray[np.float32], rate_hz: int) -> bytes:
    """Return a WAV file with format tag 0x55 (MPEGLAYER3WAVEFORMAT of mmreg.h), mono."""
    stream = io.BytesIO()
    soundfile.write(stream, samples, rate_hz, format="MP3")
    format_chunk = struct.pack("<HHIIHH", 0x55, 1, rate_hz, 8000, 1, 0)
    format_chunk += struct.pack("<HHIHHH", 12, 1, 2, 576, 1, 0)
    chunks = _chunk(b"fmt ", format_chunk) + _chunk(b"fact", struct.pack("<I", len(samples)))
    return _chunk(b"RIFF", b"WAVE" + chunks + _chunk(b"data", stream.getvalue()))


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)
