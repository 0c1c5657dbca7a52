"""The audio of a run's songs: only files that its catalogue lists, where they still are."""

from __future__ import annotations

import dataclasses
import os
import stat
from typing import Final

from components.datasets.files.open import open_files
from components.storage.uri import is_remote
from genreflow.exploring.audio_objects import AudioObject

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
    """Files or objects of songs inside the data folder; nothing outside it is ever opened."""

    def __init__(self, data_dir: str) -> None:
        self._data_dir = data_dir

    def find(self, uri: str) -> AudioFile | AudioObject | str:
        """Return a song's file or object, or why it cannot be played, as a sentence.

        An object store is not asked: what is wrong there is found when the object is read.

        Args:
          uri: path or URI from the run's catalogue.
        """
        # Links are resolved anew for each request, as they may have changed since.
        files = open_files(self._data_dir)
        if is_remote(uri) != is_remote(files.root) or files.leads_outside(uri):
            return "Its path leads outside the data folder, so it is not opened."
        media_type = MEDIA_TYPES.get(os.path.splitext(uri)[1].lower(), OTHER_MEDIA_TYPE)
        if is_remote(uri):
            return AudioObject(uri, media_type)
        path = os.path.realpath(uri)
        try:
            found = os.lstat(path)
        except OSError:
            return "Its audio file is not there any more: it was moved, renamed or deleted."
        if not stat.S_ISREG(found.st_mode) or not os.access(path, os.R_OK):
            return "Its audio file cannot be read by this program."
        if not found.st_size:
            return "Its audio file is empty now."
        return AudioFile(path, media_type, found.st_size)
