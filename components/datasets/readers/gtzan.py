"""Reader of GTZAN (Tzanetakis and Cook, 2002): one folder per genre, `blues/blues.00000.wav`."""

from __future__ import annotations

from collections.abc import Iterator

from components.common.errors import DatasetError
from components.datasets.files.base import DataFiles
from components.datasets.readers.tree import genre_folders, walk_genre
from components.datasets.settings import DatasetSettings
from components.datasets.track import Reject, Track


def read(settings: DatasetSettings, files: DataFiles) -> Iterator[Track | Reject]:
    """Yield the tracks sorted by genre and name; ids are such as "blues/blues.00000".

    Raises:
      DatasetError: no genre folder has an audio file.
    """
    found = False
    for genre in genre_folders(files):
        for item in walk_genre(files, genre, recursive=False):
            found = True
            yield item
    if not found:
        raise DatasetError(
            f"{files.root}: no audio file in any of its folders; the data folder must hold "
            "GTZAN's genre folders (blues, classical, ...); it is often named genres or "
            "genres_original"
        )
