"""Reader of any collection with one sub-folder per genre and audio at any depth below it."""

from __future__ import annotations

from collections.abc import Iterator

from components.audio.decoding.formats import readable_extensions
from components.common.errors import DatasetError
from components.datasets.files.base import DataFiles
from components.datasets.readers.tree import genre_folders, walk_genre
from components.datasets.settings import DatasetSettings
from components.datasets.track import Reject, Track


def read(settings: DatasetSettings, files: DataFiles) -> Iterator[Track | Reject]:
    """Yield the tracks sorted by genre and path; ids are relative paths without extension.

    Raises:
      DatasetError: no sub-folder has an audio file.
    """
    found = False
    for genre in genre_folders(files):
        for item in walk_genre(files, genre, recursive=True):
            found = True
            yield item
    if not found:
        raise DatasetError(
            f"{files.root}: no audio file ({', '.join(readable_extensions())}) in any sub-folder; "
            "expected one sub-folder per genre, such as Rock/song.mp3"
        )
