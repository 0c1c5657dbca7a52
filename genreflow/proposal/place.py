"""The place that `genreflow init` looks at: a data folder, or a CSV of songs in one."""

from __future__ import annotations

import os
import pathlib

from components.common.errors import UsageError
from components.common.escape import printable
from components.datasets.files.base import DataFiles
from components.datasets.files.open import open_files
from components.storage.uri import checked_place, is_remote
from pipeline.config.toml_text import toml_string

ARGUMENT = "DATA_DIR"


def find_place(data_dir: str) -> tuple[DataFiles, str]:
    """Return the data folder, and the name of a CSV in it if that is what was named, else "".

    Args:
      data_dir: the folder, a path or an s3:// URI, or a CSV of songs in it.

    Raises:
      UsageError: it is no folder and no CSV, is missing or empty, or no configuration can name it.
      StorageError: the object store cannot be read.
    """
    if not data_dir.strip():
        raise UsageError(f"{ARGUMENT} is empty; name a folder of music, such as ~/music")
    place = checked_place(data_dir, ARGUMENT)
    manifest = ""
    is_csv = place.lower().endswith(".csv")
    if not is_remote(place):
        place = str(pathlib.Path(place).expanduser().absolute())
        is_file = os.path.isfile(place)
        if is_file and not is_csv:
            raise UsageError(
                f"{printable(place)}: {ARGUMENT} is a file; name the folder that holds the genres' "
                "folders, or a CSV of songs whose name ends in .csv"
            )
        is_csv = is_csv and is_file
    if is_csv:
        place, _, manifest = place.rpartition("/")
    _check_text(place)
    files = open_files(place)
    files.check(f"check the name ({ARGUMENT})")
    return files, manifest


def _check_text(folder: str) -> None:
    try:
        toml_string(folder)
    except ValueError as error:
        raise UsageError(
            f"{printable(folder)}: its name is not UTF-8, so no configuration can hold it; rename "
            "the folder, or make a link to it"
        ) from error
