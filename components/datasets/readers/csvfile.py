"""Streamed CSV rows, with errors that name the file and the line."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator
from typing import BinaryIO, TextIO

from components.common.errors import DatasetError
from components.datasets.files.base import DataFiles

# Limit of a field and of a row. Biographies in FMA's tracks.csv exceed the csv module's default
# of 128 KiB per field. Without a limit for rows, an unclosed quote or a file of one line would
# be read as a whole.
MAX_ROW_CHARACTERS = 1 << 22


def read_rows(files: DataFiles, path: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, cells) for each row that is not blank, header lines included.

    The line number is that of the row's last line, from 1. A byte-order mark is dropped.

    Raises:
      DatasetError: the file cannot be opened, is not UTF-8, or is not CSV.
    """
    csv.field_size_limit(max(csv.field_size_limit(), MAX_ROW_CHARACTERS))
    line = 0
    try:
        with files.open_text(path) as stream:
            lines = _Lines(stream)
            rows = csv.reader(lines)
            try:
                for cells in rows:
                    line = rows.line_num
                    lines.left = MAX_ROW_CHARACTERS
                    if cells:
                        yield line, cells
            except UnicodeDecodeError as error:
                # It is read ahead of the rows, by blocks.
                wrong = _line_that_is_not_utf8(stream.buffer)
                raise DatasetError(
                    f"{path}: not UTF-8 text in line {wrong} ({error.reason})"
                ) from error
    except csv.Error as error:
        where = f"after line {line}" if line else "in its first row"
        raise DatasetError(f"{path}: not CSV {where} ({error})") from error
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror})") from error


def _line_that_is_not_utf8(stream: BinaryIO) -> int:
    """Return the number, from 1, of the first line with a byte that is not UTF-8."""
    stream.seek(0)
    decoder = codecs.getincrementaldecoder("utf-8")()
    line = 1
    while block := stream.read(1 << 20):
        try:
            line += decoder.decode(block).count("\n")
        except UnicodeDecodeError as error:
            return line + error.object[: error.start].count(b"\n")
    return line  # it ends within a character


class _Lines:
    """Lines of a file for csv.reader, up to `left` more characters."""

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
        if "\0" in line:  # which csv.reader accepts from Python 3.11 on
            raise csv.Error("line contains NUL")
        return line
