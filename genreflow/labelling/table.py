"""The table of labels: a folder of parts, in the layout that Spark, pandas and Arrow read.

    labels.parquet/
      _labels.json                        the header, written first
      part-00000-of-00064.parquet         rows, sorted by uri
      _csv/part-00000-of-00064.csv        the same rows, on demand
      _work/                              of a run in progress or killed

Readers of Parquet folders skip names that begin with "_" or ".". A file's row is in the part that a
hash of its uri names, so one worker updates one part, and no row moves.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from components.artifacts import files
from components.common.errors import DataError
from components.common.escape import printable_cell
from components.datasets.track import rank
from components.predictions.table import probability_columns
from components.storage.errors import ObjectMissing
from components.storage.uri import join

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = 1
HEADER_JSON, CSV_FOLDER, WORK_FOLDER = "_labels.json", "_csv", "_work"
# A part of so many files takes a worker a minute or two, and a few megabytes.
ROWS_PER_PART = 1000
MAX_PARTS = 10_000


@dataclasses.dataclass(frozen=True)
class Header:
    """Header of a table.

    Attributes:
      parts: number of parts, fixed when the table is made.
      csv: whether there are CSV files, too.
      data: the catalogue, a path or URI.
      pyav: whether PyAV was installed, which decides what is read.
      model: ModelFacts.identity() of the model.
      format: version of this layout.
    """

    parts: int
    csv: bool
    data: str
    pyav: bool
    model: dict[str, Any]
    format: int = FORMAT


@dataclasses.dataclass(frozen=True)
class Row:
    """Row of one file.

    Attributes:
      uri: path or s3:// URI; "" if the catalogue has none.
      track_id: its id.
      size_bytes: its size when it was labelled; None if unknown.
      file_version: its modification time in nanoseconds, or its ETag; "" if unknown.
      model_version, model_digest: of the model that labelled it.
      genre: the most probable genre; None of a reject, as for the next five.
      probability: that genre's.
      probabilities: of all genres in label order.
      seconds: length of what was read.
      windows: number of windows, with those that are left out.
      silent_share: share of the windows that are near silent.
      warnings: what is wrong with a file that was labelled all the same, or "".
      reason: key of components.datasets.track.REJECT_REASONS; "" if it was labelled.
      detail: what was found, and what to do.
    """

    uri: str
    track_id: str
    size_bytes: int | None
    file_version: str
    model_version: str
    model_digest: str
    genre: str | None = None
    probability: float | None = None
    probabilities: tuple[float, ...] = ()
    seconds: float | None = None
    windows: int | None = None
    silent_share: float | None = None
    warnings: str = ""
    reason: str = ""
    detail: str = ""

    @property
    def order(self) -> tuple[str, str, str, str, str]:
        """The row's place in its part, as a listed file's."""
        return self.uri, self.track_id, self.reason, self.detail, self.file_version


@dataclasses.dataclass(frozen=True)
class TableFolder:
    """Places in a table's folder, a path or an s3:// URI."""

    root: str

    @property
    def header(self) -> str:
        return join(self.root, HEADER_JSON)

    @property
    def work(self) -> str:
        return join(self.root, WORK_FOLDER)

    @property
    def runs(self) -> str:
        """The folder of what workers tell their runs."""
        return join(self.work, "runs")

    @property
    def run(self) -> str:
        """The file with the token of the run that may write."""
        return join(self.work, "run.json")

    @property
    def listed(self) -> str:
        """The file that says that the listing is complete."""
        return join(self.work, "listed.json")

    def part(self, index: int, parts: int) -> str:
        return join(self.root, f"part-{index:05d}-of-{parts:05d}.parquet")

    def csv_part(self, index: int, parts: int) -> str:
        return join(self.root, CSV_FOLDER, f"part-{index:05d}-of-{parts:05d}.csv")

    def listing(self, index: int) -> str:
        return join(self.work, "listing", f"{index:05d}.jsonl")

    def pieces(self, index: int) -> str:
        """Return the folder of what a part's attempts have finished so far."""
        return join(self.work, "pieces", f"{index:05d}")

    # By run, since workers elsewhere may outlive a run that was killed, and disturb the next one.

    def results(self, token: str) -> str:
        """Return the folder of the results of a run's parts."""
        return join(self.runs, token, "results")

    def result(self, token: str, index: int) -> str:
        return join(self.results(token), f"{index:05d}.json")

    def reports(self, token: str) -> str:
        """Return the folder of the reports of a run's workers."""
        return join(self.runs, token, "reports")

    def problem(self, token: str) -> str:
        """Return the file with the problem that ended a run."""
        return join(self.runs, token, "problem.txt")


def part_of(uri: str, parts: int) -> int:
    """Return the part of a uri: the same in every run."""
    return int.from_bytes(rank("part", uri)[:8], "big") % parts


def parts_for(rows: int) -> int:
    """Return the number of parts of a table that is made for so many rows."""
    return max(1, min(MAX_PARTS, -(-rows // ROWS_PER_PART)))


def read_header(folder: TableFolder) -> Header | None:
    """Return the header of a table; None if there is none.

    Raises:
      DataError: it is damaged, or of another version.
    """
    try:
        values = json.loads(files.read_text(folder.header))
        header = Header(**values)
        if header.format != FORMAT:
            raise ValueError(f"format {header.format}, not {FORMAT}")
        return header
    except (FileNotFoundError, ObjectMissing):
        return None
    except (ValueError, TypeError, RecursionError) as error:
        raise DataError(
            f"{folder.header}: not a table of labels that this version reads ({error}); "
            "choose another --output"
        ) from error


def write_header(folder: TableFolder, header: Header) -> None:
    """Write the header, completely or not at all."""
    text = json.dumps(dataclasses.asdict(header), indent=2, sort_keys=True, ensure_ascii=False)
    files.write_text(folder.header, text + "\n")


def read_rows(path: str, genres: Sequence[str]) -> list[Row] | None:
    """Return the rows of a part or a piece; None if there is no such file.

    Rows of a model with other genres have no probabilities, as they are labelled again.

    Raises:
      DataError: the file is damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq
    import pyarrow_hotfix  # noqa: F401  pyarrow 10 would run code from a file

    try:
        content = files.read_bytes(path)
    except (FileNotFoundError, ObjectMissing):
        return None
    try:
        columns = pq.read_table(pa.BufferReader(content)).to_pydict()
        wanted = probability_columns(genres)
        numbers = [columns.pop(name, None) for name in wanted]
        names = [field.name for field in dataclasses.fields(Row) if field.name != "probabilities"]
        plain = list(zip(*(columns[name] for name in names), strict=True))
        known = [column for column in numbers if column is not None]
        rows = []
        for index, values in enumerate(plain):
            fields = dict(zip(names, values, strict=True))
            row = tuple(column[index] for column in known) if fields["genre"] is not None else ()
            rows.append(Row(**fields, probabilities=row))
        return rows
    except (pa.ArrowException, KeyError, OSError) as error:
        raise DataError(
            f"{path}: not a part of a table of labels ({error}); delete this file and rerun: its "
            "files are labelled again"
        ) from error


def write_rows(path: str, rows: Iterable[Row], genres: Sequence[str]) -> None:
    """Write rows as a Parquet file, completely or not at all; the same rows give the same bytes."""
    import pyarrow.parquet as pq

    with files.written_file(path) as temporary:
        pq.write_table(to_arrow(list(rows), genres), temporary, compression="zstd")


def write_csv(path: str, rows: Iterable[Row], genres: Sequence[str]) -> None:
    """Write the same rows as CSV, with text that neither a terminal nor a spreadsheet obeys."""
    text = io.StringIO(newline="")
    out = csv.writer(text, lineterminator="\n")
    columns = _columns(list(rows), genres)
    out.writerow(map(printable_cell, columns))
    for values in zip(*columns.values(), strict=True):
        out.writerow("" if value is None else _cell(value) for value in values)
    files.write_text(path, text.getvalue())


def to_arrow(rows: Sequence[Row], genres: Sequence[str]) -> pa.Table:
    """Return rows as an Arrow table, a column for each field and each genre."""
    import pyarrow as pa

    kinds = {int: pa.int64(), float: pa.float64(), str: pa.string()}
    types = {name: kinds[kind] for name, kind in _TYPES.items()}
    types.update(dict.fromkeys(probability_columns(genres), pa.float64()))
    columns = _columns(rows, genres)
    schema = pa.schema([(name, types[name]) for name in columns])
    return pa.table(columns, schema=schema)


# Columns in the order of the file; those of the probabilities come after `probability`.
_TYPES: dict[str, type] = {
    "uri": str,
    "track_id": str,
    "genre": str,
    "probability": float,
    "seconds": float,
    "windows": int,
    "silent_share": float,
    "warnings": str,
    "reason": str,
    "detail": str,
    "model_version": str,
    "model_digest": str,
    "size_bytes": int,
    "file_version": str,
}


def _columns(rows: Sequence[Row], genres: Sequence[str]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for name in _TYPES:
        found[name] = [getattr(row, name) for row in rows]
        if name == "probability":
            for label, column in enumerate(probability_columns(genres)):
                found[column] = [
                    row.probabilities[label] if row.probabilities else None for row in rows
                ]
    return found


def _cell(value: object) -> object:
    return printable_cell(value) if isinstance(value, str) else value
