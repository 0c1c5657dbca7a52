"""The Beam stage: workers that refuse, and problems that end the other parts."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import errno
import json
import pathlib
import time

import pytest

from components.artifacts import files
from components.common.errors import GenreflowError
from genreflow.labelling import labeller
from genreflow.labelling.beam_stage import LabelPart
from genreflow.labelling.labeller import Labeller
from genreflow.labelling.stage import Job, read_result
from genreflow.labelling.table import TableFolder
from tests.genreflow.labelling.fake_labels import MODEL, job_of


def _process(worker: LabelPart, *indices: int) -> None:
    worker.setup()
    try:
        for index in indices:
            worker.process(index)
    finally:
        worker.teardown()


@pytest.fixture
def job(tmp_path: pathlib.Path) -> Job:
    made: Job = job_of(tmp_path / "labels", parts=2)
    return made


def test_a_worker_with_other_code_refuses_in_words(job: Job) -> None:
    worker = LabelPart(job)
    worker._code = "0123456789abcdef"
    _process(worker, 0)
    result = read_result(job, 0)
    assert result is not None
    assert "has other code of Genreflow" in result.problem
    assert not list(pathlib.Path(job.root).glob("part-*"))


def test_the_problem_of_one_part_ends_the_others(job: Job) -> None:
    folder = TableFolder(job.root)
    files.write_text(folder.problem(job.token), "the store does not respond")
    _process(LabelPart(job), 0, 1)
    found = [read_result(job, index) for index in (0, 1)]
    assert [one and one.problem for one in found] == ["the store does not respond"] * 2


def test_a_missing_listing_is_a_problem_and_no_exception(job: Job) -> None:
    folder = TableFolder(job.root)
    _process(LabelPart(job), 0)
    result = read_result(job, 0)
    assert result is not None
    assert "does not see" in result.problem
    assert files.read_text(folder.problem(job.token)) == result.problem


def test_a_worker_of_a_killed_run_tells_the_next_run_nothing(job: Job) -> None:
    folder = TableFolder(job.root)
    files.write_text(folder.run, json.dumps({"token": "next"}))
    _process(LabelPart(job), 0)
    following = dataclasses.replace(job, token="next")
    assert read_result(following, 0) is None
    assert "no longer the one that writes" in files.read_text(folder.problem(job.token))
    _process(LabelPart(following), 0)
    result = read_result(following, 0)
    assert result is not None
    assert "does not see the file" in result.problem  # its own problem: there is no listing


def test_a_disk_that_takes_not_even_the_problem_is_told(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: str, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "write_bytes", full)
    with pytest.raises(GenreflowError, match=r"labels: No space left on device"):
        _process(LabelPart(job), 0)


def test_threads_that_begin_at_once_share_one_model(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = []

    def load(*_: object) -> object:
        loaded.append(True)
        time.sleep(0.1)
        return object()

    monkeypatch.setattr(labeller, "load_model", load)
    one = Labeller(MODEL, 1)
    try:
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            models = list(pool.map(lambda _: one._started(), range(4)))
    finally:
        one.close()
    assert len(loaded) == 1
    assert len(set(map(id, models))) == 1
