"""GTZAN (Tzanetakis and Cook, 2002): a folder for each genre, `blues/blues.00000.wav` (or .au)."""

from __future__ import annotations

from collections.abc import Iterator

from components.common.errors import DatasetError
from components.datasets.files.base import DataFiles
from components.datasets.readers.tree import genre_folders, walk_genre
from components.datasets.settings import DatasetSettings
from components.datasets.track import Reject, Track

EXTENSIONS = frozenset({".wav", ".au"})


def read(settings: DatasetSettings, files: DataFiles) -> Iterator[Track | Reject]:
    """Tracks genre by genre, sorted; ids such as "blues/blues.00000"; artists are unknown.

    Raises:
      DatasetError: no genre folder holds an audio file.
    """
    found = False
    for genre in genre_folders(files):
        advice = '; GTZAN comes as .wav or .au (dataset.kind = "folder" reads more)'
        for item in walk_genre(files, genre, EXTENSIONS, recursive=False, advice=advice):
            found = True
            yield item
    if not found:
        raise DatasetError(
            f"{files.root}: no .wav or .au file in any of its folders; the data folder is the one "
            "that holds GTZAN's genre folders (blues, classical, ...), often named "
            "genres or genres_original"
        )
