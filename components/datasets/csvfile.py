"""CSV rows, streamed, with errors that name the file and the line."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator

from components.datasets.errors import DatasetError
from components.datasets.files import DataFiles

# Biographies in FMA's tracks.csv pass the csv module's default of 128 KiB a field.
MAX_FIELD_BYTES = 1 << 24


def read_rows(files: DataFiles, path: str) -> Iterator[tuple[int, list[str]]]:
    """Yields (line number, cells) for each row that is not blank, header lines included.

    The line number is that of the row's last line, 1-based. A byte-order mark is dropped.

    Raises:
      DatasetError: the file cannot be opened, is not UTF-8, or is not CSV.
    """
    name = os.path.basename(path)
    csv.field_size_limit(max(csv.field_size_limit(), MAX_FIELD_BYTES))
    line = 0
    try:
        with files.open_text(path) as stream:
            rows = csv.reader(stream)
            for cells in rows:
                line = rows.line_num
                if cells:
                    yield line, cells
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"{name}: not UTF-8 text after line {line} ({error.reason}): {path}"
        ) from error
    except csv.Error as error:
        raise DatasetError(f"{name}: not CSV after line {line} ({error}): {path}") from error
    except OSError as error:
        raise DatasetError(f"{name}: cannot be read ({error.strerror}): {path}") from error
