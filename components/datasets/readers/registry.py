"""Every kind of dataset, and the one function that reads any of them."""

from __future__ import annotations

import importlib
from collections.abc import Iterator

from components.datasets.admission import admit
from components.datasets.errors import DatasetError
from components.datasets.files.base import DataFiles
from components.datasets.files.open import open_files
from components.datasets.settings import DatasetSettings
from components.datasets.track import Reject, Track

# kind -> module with `read(settings: DatasetSettings, files: DataFiles)`, an iterator of Track
# and Reject, imported when it is used. A reader asks for files through `files` alone, so that
# it reads folders and object stores alike. It yields tracks in the dataset's own order, with
# paths relative to the data folder or whole uris, and need not check ids, genres or files:
# `admit` does.
READERS: dict[str, str] = {
    "fma": "components.datasets.readers.fma",
    "gtzan": "components.datasets.readers.gtzan",
    "folder": "components.datasets.readers.folder",
    "manifest": "components.datasets.readers.manifest",
    "synthetic": "components.datasets.readers.fma",  # a synthetic corpus is laid out as FMA is
}


def read_tracks(settings: DatasetSettings, data_dir: str) -> Iterator[Track | Reject]:
    """Reads a dataset's metadata, in its own order; no audio is opened.

    Args:
      settings: which kind of dataset, and its options. `max_tracks` is not applied
        here (see components.datasets.load).
      data_dir: the dataset's folder, a path or an s3:// URI.

    Yields:
      A Track for each usable track (unique id, a genre of `settings.genres` where given,
      `uri` the whole uri of a non-empty file inside the folder), a Reject for each
      other. Genres, track ids and artist ids hold no control characters (a track where
      they do is rejected as bad_metadata); paths may hold any character but NUL.

    Raises:
      DatasetError: the folder or its metadata cannot be used. Raised at the call where
        the folder is at fault, else from the iterator.
      StorageError: an object store cannot be asked.
    """
    if not data_dir:
        raise DatasetError("no data folder: give --data-dir, or set dataset.data_dir")
    files = open_files(data_dir)
    files.check()
    reader = importlib.import_module(READERS[settings.kind])
    items: Iterator[Track | Reject] = reader.read(settings, files)
    return _not_nothing(admit(items, settings, files), settings, files)


def _not_nothing(
    items: Iterator[Track | Reject], settings: DatasetSettings, files: DataFiles
) -> Iterator[Track | Reject]:
    count = 0
    for item in items:
        count += 1
        yield item
    if count == 0:
        raise DatasetError(f"{files.root}: no tracks found (dataset.kind = {settings.kind!r})")
