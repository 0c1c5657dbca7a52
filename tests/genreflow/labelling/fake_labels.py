"""A table whose files are labelled by a rule, without a model and without audio."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Iterator, Sequence

from components.artifacts import files
from genreflow.labelling import listing
from genreflow.labelling.model import ModelFacts
from genreflow.labelling.parts import Listed, Stamp, reject
from genreflow.labelling.stage import Job, PartResult, write_part
from genreflow.labelling.table import Row, TableFolder

GENRES = ("Folk", "Rock")
MODEL = ModelFacts("/model/3", "3", "d" * 64, GENRES, "a" * 16)


class KilledError(Exception):
    """End of a worker in the middle of a part."""


class FakeLabels:
    """Labels by hash; `left` files later it is killed."""

    def __init__(self, left: int = 1 << 30) -> None:
        self.left = left
        self.labelled: list[str] = []

    def label(self, files: Sequence[Listed], stamp: Stamp) -> Iterator[Row]:
        for file in files:
            if not self.left:
                raise KilledError
            self.left -= 1
            self.labelled.append(file.uri)
            yield fake_row(file, stamp)


def fake_row(file: Listed, stamp: Stamp) -> Row:
    """Return a row that depends on the file's name and state, and on the model."""
    text = f"{file.uri} {file.state} {stamp.digest}"
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:2], "big")
    if not number % 5:
        return reject(file, stamp, "undecodable", "not audio")
    share = number / 65536
    best = GENRES[share < 0.5]
    return dataclasses.replace(
        reject(file, stamp, "", ""),
        genre=best,
        probability=max(share, 1 - share),
        probabilities=(share, 1 - share),
        seconds=30.0,
        windows=15,
        silent_share=0.0,
    )


def job_of(root: pathlib.Path, parts: int = 3, model: ModelFacts = MODEL, **options: object) -> Job:
    return Job(str(root), parts, False, "token", model, 1, **options)  # type: ignore[arg-type]


def start(job: Job, files_listed: Sequence[Listed]) -> None:
    """Do what a run does before its workers."""
    folder = TableFolder(job.root)
    with listing.spooled(iter(files_listed), lambda _: None) as spool:
        listing.distribute(spool, folder, job.parts)
    files.write_text(folder.run, json.dumps({"token": job.token}))


def run(job: Job, files_listed: Sequence[Listed], labels: FakeLabels) -> list[PartResult]:
    """Run all parts in this process; a killed labeller ends it."""
    start(job, files_listed)
    return [write_part(index, job, labels, lambda _: None) for index in range(job.parts)]


def killed_run(job: Job, files_listed: Sequence[Listed], labels: FakeLabels) -> None:
    with contextlib.suppress(KilledError):
        run(job, files_listed, labels)


def parts_of(root: pathlib.Path) -> dict[str, bytes]:
    """Return the content of the table's parts by name."""
    return {path.name: path.read_bytes() for path in sorted(root.glob("part-*"))}
