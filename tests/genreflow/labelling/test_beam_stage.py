"""The Beam stage: workers that refuse, and problems that end the other parts."""

from __future__ import annotations

import pathlib

import pytest

from components.artifacts import files
from genreflow.labelling.beam_stage import LabelPart
from genreflow.labelling.stage import Job, read_result
from genreflow.labelling.table import TableFolder
from tests.genreflow.labelling.fake_labels import job_of


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
    result = read_result(TableFolder(job.root), 0)
    assert result is not None
    assert "has other code of Genreflow" in result.problem
    assert not list(pathlib.Path(job.root).glob("part-*"))


def test_the_problem_of_one_part_ends_the_others(job: Job) -> None:
    folder = TableFolder(job.root)
    files.write_text(folder.problem, "the store does not respond")
    _process(LabelPart(job), 0, 1)
    found = [read_result(folder, index) for index in (0, 1)]
    assert [one and one.problem for one in found] == ["the store does not respond"] * 2


def test_a_missing_listing_is_a_problem_and_no_exception(job: Job) -> None:
    folder = TableFolder(job.root)
    _process(LabelPart(job), 0)
    result = read_result(folder, 0)
    assert result is not None
    assert "does not see" in result.problem
    assert files.read_text(folder.problem) == result.problem
