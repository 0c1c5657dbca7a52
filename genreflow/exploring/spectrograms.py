"""The stored spectrograms of songs, read straight from the files of the examples."""

from __future__ import annotations

import concurrent.futures
import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from components.audio.front_ends.front_end import DYNAMIC_RANGE_DB
from components.audio.params import AudioParams
from components.audio.spectrogram.stored import STORED_DTYPE, STORED_STEPS_PER_DB
from components.storage import objects
from components.storage.client import CONNECTIONS
from components.storage.errors import StorageError
from components.storage.uri import is_remote, join

Bytes = npt.NDArray[np.uint8]


@dataclasses.dataclass(frozen=True, eq=False)
class StoredClips:
    """Places of all stored spectrograms, sorted by song and start.

    Attributes:
      files: paths relative to the folder of the examples.
      song: index of each clip's song, int64 `[clips]`, ascending.
      start_s: start of each clip in its song, float64 `[clips]`, in seconds.
      file: index of each clip's file, int64 `[clips]`.
      offset: first byte of each spectrogram in its file, int64 `[clips]`.
    """

    files: tuple[str, ...]
    song: npt.NDArray[np.int64]
    start_s: npt.NDArray[np.float64]
    file: npt.NDArray[np.int64]
    offset: npt.NDArray[np.int64]

    @classmethod
    def of(
        cls, files: Sequence[str], rows: Iterable[tuple[int, int, float, int, int]]
    ) -> StoredClips:
        """Return the places of clips: song, clip index, start, file and offset of each."""
        ordered = sorted((song, start, clip, file, at) for song, clip, start, file, at in rows)
        columns = list(zip(*ordered, strict=True)) or [()] * 5
        return cls(
            tuple(files),
            np.array(columns[0], np.int64),
            np.array(columns[1], np.float64),
            np.array(columns[3], np.int64),
            np.array(columns[4], np.int64),
        )


@dataclasses.dataclass(frozen=True, eq=False)
class SongClips:
    """Spectrograms of one song's clips, in order of time.

    Attributes:
      starts_s: start of each clip in the song.
      levels: uint8 `[clips, frames, n_mels]`, 0 for -80 dB and less, 255 for 0 dB.
    """

    starts_s: tuple[float, ...]
    levels: Bytes


def read_clips(
    clips: StoredClips, song: int, examples: str, params: AudioParams
) -> SongClips | None:
    """Return a song's spectrograms, or None where the files no longer hold them.

    Args:
      clips: places of all spectrograms.
      song: index of the song.
      examples: folder or URI of the examples.
      params: audio parameters of the examples.
    """
    first, last = np.searchsorted(clips.song, [song, song + 1])
    if first == last:
        return None

    def read(clip: int) -> bytes:
        place = join(examples, clips.files[clips.file[clip]])
        return _read(place, int(clips.offset[clip]), params.mel_bytes)

    with concurrent.futures.ThreadPoolExecutor(CONNECTIONS) as pool:
        found = list(pool.map(read, range(first, last)))
    if any(len(stored) != params.mel_bytes for stored in found):
        return None
    mel = np.frombuffer(b"".join(found), np.dtype(STORED_DTYPE).newbyteorder("<"))
    full = DYNAMIC_RANGE_DB * STORED_STEPS_PER_DB
    shown = np.minimum(mel.astype(np.float32) * np.float32(255 / full), 255).astype(np.uint8)
    levels = shown.reshape(len(found), params.n_mels, params.frames).transpose(0, 2, 1)
    starts = tuple(float(start) for start in clips.start_s[first:last])
    return SongClips(starts, np.ascontiguousarray(levels))


def _read(place: str, offset: int, size_bytes: int) -> bytes:
    """Return bytes of a file or an object; fewer if it has not as many, or cannot be read."""
    try:
        if is_remote(place):
            return objects.read_range(place, None, offset, offset + size_bytes)
        with open(place, "rb") as file:
            file.seek(offset)
            return file.read(size_bytes)
    except (OSError, StorageError):
        return b""
