"""Reader of a CSV of tracks: columns uri, genre; optional track_id, artist_id, split."""

from __future__ import annotations

import os
from collections.abc import Iterator

from components.common.errors import DatasetError
from components.datasets.files.base import DataFiles
from components.datasets.readers import csvfile
from components.datasets.settings import DatasetSettings
from components.datasets.track import SPLIT_SPELLINGS, Reject, Track

REQUIRED = ("uri", "genre")
OPTIONAL = ("track_id", "artist_id", "split")


def read(settings: DatasetSettings, files: DataFiles) -> Iterator[Track | Reject]:
    """Yield the tracks in the order of the file `settings.manifest`.

    Uris are paths, or s3:// URIs if the data folder is in an object store. A relative path
    starts at the manifest's folder, or at the data folder if the manifest is outside it. The
    files must be in the data folder. The default track_id is the path relative to the data
    folder, without extension. Column names and splits are case-insensitive; other columns
    are ignored.

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
    rows = csvfile.read_rows(files, path)
    header = next(rows, None)
    if header is None:
        raise DatasetError(f"{path}: the file is empty; its first line must name the columns")
    columns = _columns(header[1], path)
    base = "" if files.leads_outside(path) else os.path.dirname(files.relative(path))
    empty = True
    for line, cells in rows:
        empty = False
        yield _track(line, cells, columns, len(header[1]), base, files)
    if empty:
        raise DatasetError(f"{path}: no tracks; add a row for each")


def _columns(header: list[str], path: str) -> dict[str, int]:
    names = [cell.strip().lower() for cell in header]
    for column in REQUIRED:
        if column not in names:
            raise DatasetError(
                f"{path}: no column {column!r}; found {_shown(header)} "
                f"(separated by commas; required: {', '.join(REQUIRED)}; "
                f"optional: {', '.join(OPTIONAL)})"
            )
    for column in (*REQUIRED, *OPTIONAL):
        if names.count(column) > 1:
            raise DatasetError(f"{path}: two columns {column!r}; remove one")
    return {column: names.index(column) for column in (*REQUIRED, *OPTIONAL) if column in names}


def _shown(header: list[str], max_cells: int = 20, max_characters: int = 40) -> str:
    shown = [repr(cell[:max_characters]) for cell in header[:max_cells]]
    return ", ".join(shown) + (
        f" and {len(header) - max_cells} more" if len(header) > max_cells else ""
    )


def _track(
    line: int, cells: list[str], columns: dict[str, int], width: int, base: str, files: DataFiles
) -> Track | Reject:
    values = {column: cells[i].strip() for column, i in columns.items() if i < len(cells)}
    uri, genre = values.get("uri", ""), values.get("genre", "")
    readable = "://" not in uri or (files.scheme and uri.startswith(files.scheme))
    uri = files.uri(uri, base) if uri and readable else uri
    if len(cells) != width:
        detail = f"manifest line {line} has {len(cells)} cells, its header {width}"
        return Reject(values.get("track_id", ""), uri, genre, "bad_metadata", detail)
    if not uri:
        return Reject("", "", genre, "bad_metadata", f"manifest line {line}: no uri")
    default_id = os.path.splitext(files.relative(uri))[0]
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
