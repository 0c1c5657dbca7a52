"""Work on one part of a table: read its listing and its rows, label what is missing, write it.

An attempt keeps what it has finished in pieces beside the table, so that the next one repeats
little. Several attempts write the same bytes.
"""

from __future__ import annotations

import collections
import concurrent.futures
import dataclasses
import json
import os
import secrets
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Protocol

from components.artifacts import files
from components.common.errors import GenreflowError
from components.storage import objects
from components.storage.client import CONNECTIONS
from components.storage.errors import ObjectMissing
from components.storage.uri import is_remote
from genreflow.labelling.catalogue import with_state
from genreflow.labelling.listing import read_listing
from genreflow.labelling.model import ModelFacts
from genreflow.labelling.parts import Listed, Stamp, plan_part
from genreflow.labelling.table import Row, TableFolder, read_rows, write_csv, write_rows
from genreflow.labelling.tags import Tagger, TagOptions, TagReport, own_versions

# A piece is written after so many rows or seconds.
PIECE_ROWS, PIECE_SECONDS = 64, 10.0

Advance = Callable[[int], None]


@dataclasses.dataclass(frozen=True)
class Job:
    """Job of a run, as each worker gets it: small values and places.

    Attributes:
      root: the table's folder, a path or an s3:// URI.
      parts: number of its parts.
      csv: whether to write CSV files, too.
      token: the run's; another run replaces it in the table's folder.
      model: the model.
      jobs: files in progress at once in each process; 0 for one more than cores.
      tags: what to write into the files; None for nothing.
    """

    root: str
    parts: int
    csv: bool
    token: str
    model: ModelFacts
    jobs: int
    tags: TagOptions | None = None

    @property
    def stamp(self) -> Stamp:
        return Stamp(self.model.version, self.model.digest, self.model.genres)


@dataclasses.dataclass(frozen=True)
class PartResult:
    """Result of one part.

    Attributes:
      rows: number of its rows.
      labelled: number of files that were labelled now, rejects among them.
      kept: number of rows that were valid before.
      gone: number of rows whose files are no longer in the catalogue.
      rejects: number of rows by reject reason.
      genres: number of rows by genre.
      tags: what was done with the files' tags.
      problem: why the part could not be written, or "".
    """

    rows: int = 0
    labelled: int = 0
    kept: int = 0
    gone: int = 0
    rejects: dict[str, int] = dataclasses.field(default_factory=dict)
    genres: dict[str, int] = dataclasses.field(default_factory=dict)
    tags: TagReport = dataclasses.field(default_factory=TagReport)
    problem: str = ""


class Labels(Protocol):
    """Interface of a labeller: genreflow.labelling.labeller.Labeller, or one of a test."""

    def label(self, files: Sequence[Listed], stamp: Stamp) -> Iterator[Row]:
        """Yield the row of each file, in the given order."""


def write_part(index: int, job: Job, labeller: Labels, advance: Advance) -> PartResult:
    """Bring one part of the table up to date.

    Args:
      index: of the part.
      job: the run's job.
      labeller: labels what is new or changed.
      advance: called with the number of files that are done since the last call.

    Raises:
      GenreflowError: the worker does not see the listing, another run has taken over, or what
        `labeller` raises.
      OSError: the part cannot be written.
      StorageError: the object store cannot be reached.
    """
    folder, stamp = TableFolder(job.root), job.stamp
    check_run(folder, job.token)
    listed = read_listing(folder, index)
    if listed is None:
        raise GenreflowError(
            f"{folder.listing(index)}: this worker does not see the file; choose an --output that "
            "the workers and this machine share, such as a mounted folder or s3://"
        )
    path = folder.part(index, job.parts)
    earlier = read_rows(path, stamp.genres)
    pieces = _Pieces(folder.pieces(index), stamp.genres)
    own = own_versions(folder.pieces(index))
    plan = plan_part(_with_states(listed, own), earlier or (), pieces.finished(), stamp, own)
    advance(len(plan.kept) + len(plan.rejects))
    fresh = []
    for row in labeller.label(plan.to_label, stamp):
        fresh.append(row)
        pieces.add(row)
        advance(1)
    rows = sorted((*plan.kept, *plan.rejects, *fresh), key=lambda row: row.order)
    report = TagReport()
    if job.tags:
        pieces.flush()
        rows, report = Tagger(job.tags, folder.pieces(index)).write(rows)
    check_run(folder, job.token)
    if rows != earlier:
        write_rows(path, rows, stamp.genres)
    csv_path = folder.csv_part(index, job.parts)
    if job.csv and (rows != earlier or not _exists(csv_path)):
        write_csv(csv_path, rows, stamp.genres)
    files.remove_folder(folder.pieces(index))
    counts = collections.Counter(row.reason for row in rows if row.reason)
    genres = collections.Counter(row.genre for row in rows if row.genre is not None)
    return PartResult(
        rows=len(rows),
        labelled=len(fresh),
        kept=len(plan.kept),
        gone=plan.gone,
        rejects=dict(sorted(counts.items())),
        genres=dict(sorted(genres.items())),
        tags=report,
    )


def check_run(folder: TableFolder, token: str) -> None:
    """Raise GenreflowError unless the run with this token may still write into the table."""
    try:
        found = json.loads(files.read_text(folder.run))["token"]
    except (FileNotFoundError, ObjectMissing):
        found = ""
    if found != token:
        raise GenreflowError(
            f"{folder.root}: this run is no longer the one that writes the table, or this worker "
            "does not see the folder; rerun the command when no other run uses it"
        )


def write_result(job: Job, index: int, result: PartResult) -> None:
    """Write the result of a part. Several attempts may do so."""
    path = TableFolder(job.root).result(job.token, index)
    files.write_text(path, json.dumps(dataclasses.asdict(result)))


def read_result(job: Job, index: int) -> PartResult | None:
    """Return the result of a part; None if there is none."""
    path = TableFolder(job.root).result(job.token, index)
    try:
        values: dict[str, Any] = json.loads(files.read_text(path))
    except (FileNotFoundError, ObjectMissing):
        return None
    return PartResult(**{**values, "tags": TagReport(**values["tags"])})


class _Pieces:
    """Rows that attempts at a part have finished, as small files."""

    def __init__(self, folder: str, genres: Sequence[str]) -> None:
        self._folder, self._genres = folder, genres
        self._token, self._count = secrets.token_hex(8), 0
        self._held: list[Row] = []
        self._begun = 0.0

    def finished(self) -> Iterator[Row]:
        """Yield the rows of earlier attempts."""
        for path in files.matching(self._folder, "*.parquet"):
            yield from read_rows(path, self._genres) or ()

    def add(self, row: Row) -> None:
        if not self._held:
            self._begun = time.monotonic()
        self._held.append(row)
        late = time.monotonic() - self._begun > PIECE_SECONDS
        if late or len(self._held) == PIECE_ROWS:
            self.flush()

    def flush(self) -> None:
        if self._held:
            path = os.path.join(self._folder, f"{self._token}-{self._count:05d}.parquet")
            write_rows(path, self._held, self._genres)
            self._count += 1
        self._held = []


def _with_states(listed: Sequence[Listed], own: Mapping[str, Collection[str]]) -> list[Listed]:
    """Ask for states that are unknown, of a manifest's objects, or old.

    Files that a killed run gave a tag may have changed since the listing that `--resume` takes up.
    """

    def look_up(file: Listed) -> Listed:
        if not file.reason and file.uri in own:
            return with_state(file.uri, file.track_id)
        if file.reason or file.file_version or not is_remote(file.uri):
            return file
        state = objects.find(file.uri)
        if state is None:
            return dataclasses.replace(file, reason="missing_file", detail="no such object")
        if not state.size_bytes:
            return dataclasses.replace(file, reason="empty_file", detail="0 bytes")
        return dataclasses.replace(file, size_bytes=state.size_bytes, file_version=state.etag)

    if not own and all(file.reason or file.file_version for file in listed):
        return list(listed)
    with concurrent.futures.ThreadPoolExecutor(CONNECTIONS) as pool:
        return list(pool.map(look_up, listed))


def _exists(path: str) -> bool:
    return objects.find(path) is not None if is_remote(path) else os.path.exists(path)
