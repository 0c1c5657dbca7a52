"""Reader of any collection with one sub-folder per genre and audio at any depth below it."""

from __future__ import annotations

from collections.abc import Iterator

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
    from components.audio.decoding.decode import EXTENSIONS

    known = ", ".join(sorted(EXTENSIONS))
    found = False
    for genre in genre_folders(files):
        for item in walk_genre(
            files, genre, EXTENSIONS, recursive=True, advice=f"; convert it to one of {known}"
        ):
            found = True
            yield item
    if not found:
        raise DatasetError(
            f"{files.root}: no audio file ({known}) in any sub-folder; "
            "expected one sub-folder per genre, such as Rock/song.mp3"
        )
