"""The folder of a table before a run: what may be in it."""

from __future__ import annotations

import os
from collections.abc import Iterator

from components.common.errors import UsageError
from components.storage import objects
from components.storage.uri import checked_place, is_remote
from genreflow.labelling.claim import LOCK_FILE
from genreflow.labelling.table import (
    CSV_FOLDER,
    HEADER_JSON,
    WORK_FOLDER,
    Header,
    TableFolder,
    read_header,
)


def place_of(text: str) -> str:
    """Return the absolute path or the URI of a table's folder.

    Raises:
      UsageError: it is empty, or neither a local path nor an s3:// URI.
    """
    place = checked_place(text, "--output")
    if not place.strip():
        raise UsageError("--output is empty; name the table's folder")
    return place if is_remote(place) else os.path.abspath(os.path.expanduser(place))


def checked_header(folder: TableFolder) -> Header | None:
    """Return the header of the table in a folder; None for a folder that is absent or empty.

    Raises:
      UsageError: the folder is a file, holds something else, or has a CSV file's name.
    """
    root = folder.root
    if not is_remote(root) and os.path.exists(root) and not os.path.isdir(root):
        raise UsageError(f"{root}: is a file; name a folder for the table with --output")
    header = read_header(folder)
    if header is not None:
        return header
    if root.lower().endswith(".csv"):
        other = root[: -len(".csv")]
        raise UsageError(
            f"--output {root}: a table is a folder of Parquet files, as it may have millions of "
            f"rows; for CSV files in its folder {CSV_FOLDER} too, write --output {other} --csv"
        )
    names: Iterator[str]
    if is_remote(root):
        names = (item.uri.removeprefix(f"{root}/") for item in objects.list_objects(f"{root}/"))
    else:
        names = iter(sorted(os.listdir(root)) if os.path.isdir(root) else [])
    other = next((name for name in names if not name.startswith((LOCK_FILE, WORK_FOLDER))), "")
    if other:
        raise UsageError(
            f"{root}: holds other files ({other}) and no table of labels ({HEADER_JSON}); name a "
            "new or empty folder with --output"
        )
    return None


def create(folder: TableFolder) -> None:
    """Create a local table's folder.

    Raises:
      UsageError: it cannot be created.
    """
    if is_remote(folder.root):
        return
    try:
        os.makedirs(folder.root, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"{folder.root}: cannot be created ({error.strerror}); choose another --output"
        ) from error
