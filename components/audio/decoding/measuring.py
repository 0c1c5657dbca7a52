"""Choice of the module that measures how much audio a file holds."""

from __future__ import annotations

import pathlib

from components.audio.decoding import chunks, flac, mpeg, ogg
from components.audio.decoding.extent import Extent
from components.audio.decoding.tags import skip_id3v2

# Zeros may follow the tags of an mp3.
_MAX_PADDING_BYTES = 64 << 10


def measure(path: pathlib.Path) -> Extent:
    """Compare what a file's header tells of its length with what is there.

    Raises:
      OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        begin = skip_id3v2(file)
        head = file.read(_MAX_PADDING_BYTES)
    if head.startswith(b"fLaC"):
        return flac.measure(path, begin)
    if head.startswith(b"OggS"):
        return ogg.measure(path, begin)
    if not begin and chunks.is_container(head):
        return chunks.measure(path)
    padding = len(head) - len(head.lstrip(b"\0"))
    if mpeg.is_frame(head[padding : padding + 4]):
        return mpeg.measure(path, begin + padding)
    return Extent()
