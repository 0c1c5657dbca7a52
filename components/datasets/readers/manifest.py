"""A CSV that lists the tracks: columns uri, genre; optional track_id, artist_id, split."""

from __future__ import annotations

import os
from collections.abc import Iterator

from components.common.errors import DatasetError
from components.datasets.files.base import DataFiles
from components.datasets.readers import csvfile
from components.datasets.settings import DatasetSettings
from components.datasets.track import Reject, SplitName, Track

REQUIRED = ("uri", "genre")
OPTIONAL = ("track_id", "artist_id", "split")
SPLIT_NAMES: dict[str, SplitName] = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
}


def read(settings: DatasetSettings, files: DataFiles) -> Iterator[Track | Reject]:
    """Tracks in the order of the file `settings.manifest`, relative to the data folder.

    Uris are paths, and in an object store s3:// URIs too. Relative ones count from the
    manifest's own folder, or from the data folder where the manifest lies outside it; the
    files must lie in the data folder. A row without a track_id gets its path relative to
    the data folder, without extension. Column names and splits may be in any case; other
    columns are passed over.

    Raises:
      DatasetError: no such file, no header, a needed column is missing or there twice,
        no rows, or the file is not UTF-8 or not CSV.
    """
    path = files.uri(settings.manifest)
    name = os.path.basename(path)
    if not files.is_file(path):
        raise DatasetError(
            f"{files.root}: no manifest; looked for {path} "
            f"(dataset.manifest = {settings.manifest!r})"
        )
    rows = csvfile.read_rows(files, path)
    header = next(rows, None)
    if header is None:
        raise DatasetError(f"{name}: the file is empty; its first line names the columns: {path}")
    columns = _columns(header[1], name)
    base = "" if files.leads_outside(path) else os.path.dirname(files.relative(path))
    empty = True
    for line, cells in rows:
        empty = False
        yield _track(line, cells, columns, len(header[1]), base, files)
    if empty:
        raise DatasetError(f"{name}: lists no tracks: {path}")


def _columns(header: list[str], name: str) -> dict[str, int]:
    names = [cell.strip().lower() for cell in header]
    for column in REQUIRED:
        if column not in names:
            raise DatasetError(
                f"{name}: no column {column!r}; found {_shown(header)} "
                f"(commas separate columns; needed: {', '.join(REQUIRED)}; "
                f"optional: {', '.join(OPTIONAL)})"
            )
    for column in (*REQUIRED, *OPTIONAL):
        if names.count(column) > 1:
            raise DatasetError(f"{name}: the column {column!r} is there twice")
    return {column: names.index(column) for column in (*REQUIRED, *OPTIONAL) if column in names}


def _shown(header: list[str], at_most: int = 20, characters: int = 40) -> str:
    shown = [repr(cell[:characters]) for cell in header[:at_most]]
    return ", ".join(shown) + (
        f" and {len(header) - at_most} more" if len(header) > at_most else ""
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
    if split and split not in SPLIT_NAMES:
        detail = (
            f"manifest line {line}: split {split[:40]!r} is not one of {', '.join(SPLIT_NAMES)}"
        )
        return Reject(track_id, uri, genre, "bad_metadata", detail)
    return Track(
        track_id=track_id,
        uri=uri,
        genre=genre,
        artist_id=values.get("artist_id") or None,
        split_hint=SPLIT_NAMES.get(split),
    )
