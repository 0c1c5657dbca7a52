"""CSV rows, streamed, with errors that name the file and the line."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from typing import TextIO

from components.common.errors import DatasetError
from components.datasets.files.base import DataFiles

# Biographies in FMA's tracks.csv pass the csv module's default of 128 KiB a field. The same
# bounds a row: without it a quote that is never closed, or a file of one line, is read whole.
MAX_ROW_CHARACTERS = 1 << 22


def read_rows(files: DataFiles, path: str) -> Iterator[tuple[int, list[str]]]:
    """Yields (line number, cells) for each row that is not blank, header lines included.

    The line number is that of the row's last line, 1-based. A byte-order mark is dropped.

    Raises:
      DatasetError: the file cannot be opened, is not UTF-8, or is not CSV.
    """
    name = os.path.basename(path)
    csv.field_size_limit(max(csv.field_size_limit(), MAX_ROW_CHARACTERS))
    line = 0
    try:
        with files.open_text(path) as stream:
            lines = _Lines(stream)
            rows = csv.reader(lines)
            for cells in rows:
                line = rows.line_num
                lines.left = MAX_ROW_CHARACTERS
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


class _Lines:
    """The lines of a file for csv.reader, at most `left` more characters of them."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.left = MAX_ROW_CHARACTERS

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._stream.readline(self.left + 1)
        if not line:
            raise StopIteration
        self.left -= len(line)
        if self.left < 0:
            raise csv.Error(f"a row is longer than {MAX_ROW_CHARACTERS} characters")
        return line
