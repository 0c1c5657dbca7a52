"""The amount of audio in a file, and what a decoder must be shown to read all of it.

A header may tell too much (the file is cut), too little (files were joined, a recorder stopped
early) or nothing (a program wrote to a pipe). Decoders believe it. So each format's module
compares what the header tells with what is there, and the decoder gets a corrected file.
"""

from __future__ import annotations

import dataclasses
import io
import os
import pathlib
from collections.abc import Mapping

from components.audio.decoding.faults import MAX_MISSING_SECONDS, Fault, length_faults


@dataclasses.dataclass(frozen=True)
class Extent:
    """Audio of a file. The defaults are those of a file that is as its header says.

    Attributes:
      source: what to decode in place of the file; None for the file itself.
      frames: samples per channel, if `source` or the file does not tell them; else None.
      told: length by the header, as a multiple of what is there.
      no_audio: the file has a header that tells of audio, and nothing else.
      cut: how its end shows that it is cut, whatever its header tells; "" if it does not.
      unread: why some audio is not read, if `unread_share` is considerable.
      unread_share: what is not read, as a multiple of what is.
    """

    source: Window | io.BytesIO | None = None
    frames: int | None = None
    told: float = 1.0
    no_audio: bool = False
    cut: str = ""
    unread: str = ""
    unread_share: float = 1.0

    def faults(self, frames: int | None, rate_hz: int) -> tuple[Fault, ...]:
        """Return what cannot be read of the file.

        Args:
          frames: samples per channel that can be read; None if unknown.
          rate_hz: sample rate.
        """
        if self.no_audio:
            return (Fault("truncated", "no audio behind its header"),)
        seconds = (frames or 0) / rate_hz
        unread_s = self.unread_share * seconds
        if self.unread and (frames is None or unread_s > MAX_MISSING_SECONDS):
            read = f"{seconds:.1f} s of audio are read and about {unread_s:.1f} s are not: "
            return (Fault("unread_audio", (read if frames else "") + self.unread),)
        if self.cut:
            read = f"{seconds:.1f} s of audio, but " if frames else ""
            return (Fault("truncated", read + self.cut),)
        return () if frames is None else length_faults(frames, self.told * frames, rate_hz)


class Window(io.RawIOBase):
    """File that ends early, and of which some bytes are replaced."""

    def __init__(self, path: pathlib.Path, end: int, patches: Mapping[int, bytes]) -> None:
        """Open the file.

        Args:
          path: the file.
          end: its length as a reader sees it, in bytes.
          patches: bytes to show in place of those in the file, by offset.
        """
        self._file = path.open("rb", buffering=0)
        self._end, self._patches, self._at = end, dict(patches), 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move as io.IOBase does."""
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._end}[whence]
        self._at = max(0, origin + offset)
        return self._at

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill the buffer as io.RawIOBase does."""
        view = memoryview(buffer).cast("B")
        first = self._at
        self._file.seek(first)
        count = self._file.readinto(view[: max(0, min(len(view), self._end - first))]) or 0
        for offset, patch in self._patches.items():
            begin, end = max(first, offset), min(first + count, offset + len(patch))
            if begin < end:
                view[begin - first : end - first] = patch[begin - offset : end - offset]
        self._at += count
        return count

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()
