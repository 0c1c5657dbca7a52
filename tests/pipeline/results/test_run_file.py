"""The configuration and the examples of the last finished run."""

from __future__ import annotations

import json
import pathlib
import shutil

import pytest

from components.common.errors import DataError
from pipeline.results.run_file import read_run_file, write_run_file


def test_the_examples_are_found_after_the_work_folder_was_moved(tmp_path: pathlib.Path) -> None:
    work = tmp_path / "work"
    write_run_file(
        str(work), run_id="one", config={"a": 1}, examples=str(work / "pipeline" / "examples")
    )
    shutil.move(work, tmp_path / "moved")
    found = read_run_file(str(tmp_path / "moved"))
    assert found.examples == str(tmp_path / "moved" / "pipeline" / "examples")
    assert (found.run_id, found.config) == ("one", {"a": 1})


@pytest.mark.parametrize("examples", ["/elsewhere/examples", "s3://bucket/examples"])
def test_examples_elsewhere_keep_their_place(tmp_path: pathlib.Path, examples: str) -> None:
    write_run_file(str(tmp_path), run_id="one", config={}, examples=examples)
    assert read_run_file(str(tmp_path)).examples == examples


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "is missing, as an earlier version ran"),
        ("{", "not valid JSON"),
        ("[]", "is damaged"),
        ('{"version": 1}', "is damaged, run_id"),
        (json.dumps({"version": 9, "run_id": "a", "config": {}, "examples": "x"}), "has version 9"),
    ],
)
def test_a_missing_damaged_or_newer_file_is_an_error_that_names_it(
    tmp_path: pathlib.Path, content: str | None, problem: str
) -> None:
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(DataError, match=rf"run\.json: .*{problem}.*genreflow run"):
        read_run_file(str(tmp_path))
