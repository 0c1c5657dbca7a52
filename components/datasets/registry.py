"""Every kind of dataset, and the one function that reads any of them."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator

from components.datasets.admission import admit
from components.datasets.errors import DatasetError
from components.datasets.settings import DatasetSettings
from components.datasets.track import Reject, Track

# kind -> module with `read(settings: DatasetSettings, root: str) -> Iterator[Track | Reject]`,
# imported when it is used. A reader yields tracks in the dataset's own order, with paths
# relative to `root` or absolute, and need not check ids, genres or files: `admit` does.
READERS: dict[str, str] = {
    "fma": "components.datasets.fma",
    "gtzan": "components.datasets.gtzan",
    "folder": "components.datasets.folder",
    "manifest": "components.datasets.manifest",
    "synthetic": "components.datasets.fma",  # a synthetic corpus is laid out as FMA is
}


def read_tracks(settings: DatasetSettings, data_dir: str) -> Iterator[Track | Reject]:
    """Reads a dataset's metadata lazily, in its own order; no audio is opened.

    Args:
      settings: which kind of dataset, and its options. `max_tracks` is not applied
        here (see components.datasets.load).
      data_dir: the dataset's folder.

    Yields:
      A Track for each usable track (unique id, a genre of `settings.genres` where given,
      `uri` the absolute path of a non-empty file inside the folder), a Reject for each
      other. Genres, track ids and artist ids hold no control characters (a track where
      they do is rejected as bad_metadata); paths may hold any character but NUL.

    Raises:
      DatasetError: the folder or its metadata cannot be used. Raised at the call where
        the folder is at fault, else from the iterator.
    """
    if not data_dir:
        raise DatasetError("no data folder: give --data-dir, or set dataset.data_dir")
    root = os.path.abspath(data_dir)
    _check_folder(root)
    reader = importlib.import_module(READERS[settings.kind])
    return _not_nothing(admit(reader.read(settings, root), settings, root), settings, root)


def _check_folder(root: str) -> None:
    try:
        with os.scandir(root) as entries:
            empty = next(entries, None) is None
    except FileNotFoundError as error:
        raise DatasetError(f"{root}: the data folder does not exist") from error
    except NotADirectoryError as error:
        raise DatasetError(f"{root}: the data folder is not a folder") from error
    except (OSError, ValueError) as error:
        raise DatasetError(f"{root}: the data folder cannot be read: {error}") from error
    if empty:
        raise DatasetError(f"{root}: the data folder is empty")


def _not_nothing(
    items: Iterator[Track | Reject], settings: DatasetSettings, root: str
) -> Iterator[Track | Reject]:
    count = 0
    for item in items:
        count += 1
        yield item
    if count == 0:
        raise DatasetError(f"{root}: no tracks found (dataset.kind = {settings.kind!r})")
