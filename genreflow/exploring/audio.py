"""The audio files of a run's songs: only those that its catalogue lists, where they still are."""

from __future__ import annotations

import dataclasses
import os
import stat
from typing import Final

from components.datasets.files.local import LocalFiles
from components.storage.uri import is_remote

# By extension; a browser says for itself which of them it plays.
MEDIA_TYPES: Final = {
    **dict.fromkeys((".mp3", ".mp2", ".mp1", ".mpga", ".mpa"), "audio/mpeg"),
    **dict.fromkeys((".wav", ".wave", ".bwf"), "audio/wav"),
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
    ".oga": "audio/ogg",
    ".opus": "audio/ogg",
    ".m4a": "audio/mp4",
    ".mp4": "audio/mp4",
    ".aac": "audio/aac",
    ".webm": "audio/webm",
    ".aif": "audio/aiff",
    ".aiff": "audio/aiff",
}
OTHER_MEDIA_TYPE: Final = "application/octet-stream"


@dataclasses.dataclass(frozen=True)
class AudioFile:
    """File of a song, which can be played.

    Attributes:
      path: its real path, without links.
      media_type: such as "audio/mpeg".
      size_bytes: its size.
    """

    path: str
    media_type: str
    size_bytes: int


class SongAudio:
    """Files of songs inside the data folder; nothing outside it is ever opened."""

    def __init__(self, data_dir: str) -> None:
        self._remote = is_remote(data_dir)
        self._root = "" if self._remote else os.path.abspath(data_dir)

    def find(self, uri: str) -> AudioFile | str:
        """Return a song's file, or why it cannot be played, as a sentence.

        Args:
          uri: path or URI from the run's catalogue.
        """
        if self._remote or is_remote(uri):
            return "Its audio is in an object store, which this page does not play from."
        # Resolved anew for each request, as links may have changed since.
        if LocalFiles(self._root).leads_outside(uri):
            return "Its path leads outside the data folder, so it is not opened."
        path = os.path.realpath(uri)
        try:
            found = os.lstat(path)
        except OSError:
            return "Its audio file is not there any more: it was moved, renamed or deleted."
        if not stat.S_ISREG(found.st_mode) or not os.access(path, os.R_OK):
            return "Its audio file cannot be read by this program."
        if not found.st_size:
            return "Its audio file is empty now."
        extension = os.path.splitext(uri)[1].lower()
        return AudioFile(path, MEDIA_TYPES.get(extension, OTHER_MEDIA_TYPE), found.st_size)
