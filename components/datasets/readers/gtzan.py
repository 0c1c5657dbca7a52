"""Reader of GTZAN (Tzanetakis and Cook, 2002): one folder per genre, `blues/blues.00000.wav`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence

from components.common.errors import DatasetError
from components.datasets.files.base import DataFiles
from components.datasets.readers.layout import refuse_splits
from components.datasets.readers.level import AudioFolders, advice
from components.datasets.readers.tree import refused, sub_folders, walk
from components.datasets.settings import DatasetSettings
from components.datasets.track import Note, Reject, Track

GENRES = (
    "blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock",
)  # fmt: skip
_DEEPER = 'GTZAN has no folders in its genre folders; dataset.kind = "folder" reads them'


def is_gtzan(files: DataFiles, folders: Sequence[str]) -> bool:
    """Return whether folders have GTZAN's genres, or some of them, and its names of files.

    Args:
      files: the data folder.
      folders: names of its top folders.
    """
    if len(folders) < 2 or not set(folders) <= set(GENRES):
        return False
    first = folders[0]
    try:
        names = [entry.name for entry in files.entries(first)]
    except OSError:
        return False
    return any(re.match(rf"{first}\.\d{{5}}\.", name) for name in names)


def read(settings: DatasetSettings, files: DataFiles) -> Iterator[Track | Reject | Note]:
    """Yield the tracks sorted by genre and name; ids are such as "blues/blues.00000".

    Raises:
      DatasetError: no genre folder has an audio file, or the folders are splits.
    """
    folders = sub_folders(files)
    refuse_splits(files, folders, settings.genres)
    yield from refused(walk(files, "", "", recursive=False), "no_genre", "it is in no genre folder")
    found, deeper = False, AudioFolders()
    for genre in folders:
        for item in walk(files, genre, genre, recursive=False):
            found = True
            yield item
        for name in sub_folders(files, genre):
            inside = walk(files, os.path.join(genre, name), genre)
            yield from refused(deeper.noting(inside), "bad_metadata", _DEEPER)
    if not found:
        raise DatasetError(
            f"{files.root}: no audio file in any of its folders; the data folder must hold "
            "GTZAN's genre folders (blues, classical, ...); "
            + (
                advice(deeper, files)
                or "it is often named genres or genres_original. "
                "`genreflow download gtzan FOLDER` gets it"
            )
        )
