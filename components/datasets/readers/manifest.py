"""Reader of a CSV of tracks: columns uri, genre; optional track_id, artist_id, split."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Sequence

from components.common.errors import DatasetError
from components.common.spelling import find_spelling
from components.datasets.files.base import DataFiles
from components.datasets.readers import csvfile
from components.datasets.settings import DatasetSettings
from components.datasets.track import SPLIT_SPELLINGS, Note, Reject, Track
from components.storage.uri import is_remote

REQUIRED = ("uri", "genre")
OPTIONAL = ("track_id", "artist_id", "split")
# Of paths with accents or backslashes, which are looked for in several spellings.
_MAX_CACHED_PATHS = 1 << 16


def read(settings: DatasetSettings, files: DataFiles) -> Iterator[Track | Reject | Note]:
    """Yield the tracks in the order of the file `settings.manifest`.

    Uris are paths, or s3:// URIs if the data folder is in an object store. A relative path
    starts at the manifest's folder, or at the data folder if the manifest is outside it. A path
    that does not exist is tried with / for backslashes, and with its accents composed and
    decomposed. The files must be in the data folder. The default track_id is the path relative
    to the data folder, without extension. Column names and splits are case-insensitive; other
    columns are ignored.

    Raises:
      DatasetError: the file or its header does not exist, a required column is missing, a
        column occurs twice, there are no rows, or the file is not UTF-8 or not CSV.
    """
    path = files.uri(settings.manifest)
    if not files.is_file(path):
        raise DatasetError(
            f"{files.root}: no manifest: {path} does not exist "
            f"(dataset.manifest = {settings.manifest!r})"
        )
    yield from read_file(path, files)


def read_file(
    path: str, files: DataFiles, required: Sequence[str] = REQUIRED
) -> Iterator[Track | Reject | Note]:
    """Yield the tracks of the manifest at an absolute path or URI; see `read`.

    Args:
      path: of the manifest.
      files: the data folder.
      required: the columns without which there is an error; others may be absent.
    """
    rows = csvfile.read_rows(files, path)
    header = next(rows, None)
    if header is None:
        raise DatasetError(f"{path}: the file is empty; its first line must name the columns")
    columns = _columns(header[1], path, required)
    base = "" if files.leads_outside(path) else os.path.dirname(files.relative(path))
    finder = _Finder(files, base)
    empty = True
    for line, cells in rows:
        empty = False
        yield _track(line, cells, columns, len(header[1]), finder)
    if empty:
        raise DatasetError(f"{path}: no tracks; add a row for each")
    if finder.with_backslashes:
        number = finder.with_backslashes
        yield Note(f"{path}: the backslashes of {number} path{'s' * (number > 1)} are read as /")


def is_manifest(path: str, files: DataFiles) -> bool:
    """Return whether the CSV at an absolute path or URI has the required columns."""
    try:
        header = next(csvfile.read_rows(files, path), None)
        return header is not None and bool(_columns(header[1], path, REQUIRED))
    except DatasetError:
        return False


class _Finder:
    """Finder of the files that a manifest's paths mean.

    Attributes:
      with_backslashes: number of paths found with / for their backslashes.
    """

    def __init__(self, files: DataFiles, base: str) -> None:
        self.files = files
        self.with_backslashes = 0
        self._base = base
        self._exists = functools.lru_cache(_MAX_CACHED_PATHS)(
            lambda path: files.is_file(path) or files.is_folder(path)
        )

    def find(self, given: str) -> str:
        """Return the uri of the file that a path means; of the path itself if there is none."""
        uri = self.files.uri(given, self._base)
        if (given.isascii() and "\\" not in given) or self.files.is_file(uri):
            return uri
        slashed = given.replace("\\", "/")
        for path in dict.fromkeys([given, slashed]):
            meant = self.files.uri(path, self._base)
            if self.files.leads_outside(meant):
                continue
            found = find_spelling(self.files.relative(meant), self._exists)
            if found and self.files.is_file(found):
                self.with_backslashes += path != given
                return self.files.uri(found)
        return uri


def _columns(header: list[str], path: str, required: Sequence[str]) -> dict[str, int]:
    names = [cell.strip().lower() for cell in header]
    columns = (*REQUIRED, *OPTIONAL)
    for column in required:
        if column not in names:
            optional = [name for name in columns if name not in required]
            raise DatasetError(
                f"{path}: no column {column!r}; found {_shown(header)} "
                f"(separated by commas; required: {', '.join(required)}; "
                f"optional: {', '.join(optional)})"
            )
    for column in columns:
        if names.count(column) > 1:
            raise DatasetError(f"{path}: two columns {column!r}; remove one")
    return {column: names.index(column) for column in columns if column in names}


def _shown(header: list[str], max_cells: int = 20, max_characters: int = 40) -> str:
    shown = [repr(cell[:max_characters]) for cell in header[:max_cells]]
    return ", ".join(shown) + (
        f" and {len(header) - max_cells} more" if len(header) > max_cells else ""
    )


def _track(
    line: int, cells: list[str], columns: dict[str, int], width: int, finder: _Finder
) -> Track | Reject:
    files = finder.files
    values = {column: cells[i].strip() for column, i in columns.items() if i < len(cells)}
    uri, genre = values.get("uri", ""), values.get("genre", "")
    readable = "://" not in uri or (files.scheme and uri.startswith(files.scheme))
    uri = finder.find(uri) if uri and readable else uri
    if len(cells) != width:
        detail = f"manifest line {line} has {len(cells)} cells, its header {width}"
        return Reject(values.get("track_id", ""), uri, genre, "bad_metadata", detail)
    if not uri:
        return Reject("", "", genre, "bad_metadata", f"manifest line {line}: no uri")
    if "\\" in uri and not files.is_file(uri):
        detail = f"manifest line {line}: no such file; write paths with / and without a drive"
        return Reject(values.get("track_id", ""), uri, genre, "missing_file", detail)
    foreign = is_remote(uri) and not files.scheme
    default_id = os.path.splitext(uri if foreign else files.relative(uri))[0]
    track_id = values.get("track_id") or default_id
    split = values.get("split", "").lower()
    if split and split not in SPLIT_SPELLINGS:
        detail = (
            f"manifest line {line}: split {split[:40]!r} is not one of {', '.join(SPLIT_SPELLINGS)}"
        )
        return Reject(track_id, uri, genre, "bad_metadata", detail)
    return Track(
        track_id=track_id,
        uri=uri,
        genre=genre,
        artist_id=values.get("artist_id") or None,
        split_hint=SPLIT_SPELLINGS.get(split),
    )
