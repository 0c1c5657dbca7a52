"""Tests of a run's frame: what happens around Beam's job."""

from __future__ import annotations

import dataclasses
import errno
import json
import pathlib
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from components.artifacts import files
from components.common.errors import UsageError
from genreflow.labelling import listing, run
from genreflow.labelling.model import find_model
from genreflow.labelling.run import LabelFailed, Options, label
from genreflow.labelling.stage import Job, PartResult, write_part, write_result
from tests.genreflow.labelling.fake_labels import GENRES, MODEL, FakeLabels

Child = Callable[[Job], str]


@pytest.fixture
def music(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "music"
    folder.mkdir()
    for index in range(30):
        (folder / f"{index}.mp3").write_text(str(index))
    return folder


@pytest.fixture
def start(
    music: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[Any, list[str]]]:
    """Return a function that runs with another child process and another model."""
    monkeypatch.setattr(run, "parts_for", lambda rows: 4)

    def do(child: Child = in_this_process, model: Any = MODEL, **options: Any) -> Any:
        notes: list[str] = []

        def on_event(event: Mapping[str, Any]) -> None:
            if event["event"] == "note":
                notes.append(event["text"])

        with monkeypatch.context() as patch:
            patch.setattr(run, "find_model", lambda *_: model)
            patch.setattr(run, "_run_child", lambda job, args, on_event: child(job))
            given = Options("/model", str(music), str(tmp_path / "labels"))
            return label(dataclasses.replace(given, **options), (), on_event), notes

    return do


def in_this_process(job: Job) -> str:
    for index in range(job.parts):
        result = write_part(index, job, FakeLabels(), lambda _: None)
        write_result(job, index, result)
    return ""


def test_parts_without_a_result_end_the_run(start: Any, tmp_path: pathlib.Path) -> None:
    def half(job: Job) -> str:
        for index in (0, 2):
            write_result(job, index, PartResult())
        return ""

    with pytest.raises(LabelFailed, match=r"^2 of 4 parts have no result in .*/results, although"):
        start(half)
    assert (tmp_path / "labels" / "_work").is_dir()  # to resume
    assert start(resume=True)[0].files == 30


def test_problems_of_parts_and_deaths_of_the_child_are_told(start: Any) -> None:
    def problem(job: Job) -> str:
        write_result(job, 1, PartResult(problem="the disk is full"))
        return "the worker process ended with status 1"

    with pytest.raises(LabelFailed, match=r"^the disk is full$"):
        start(problem)
    with pytest.raises(LabelFailed, match=r"killed by SIGKILL"):
        start(lambda job: "the worker process was killed by SIGKILL")


def test_results_of_an_earlier_run_count_for_none(start: Any) -> None:
    def stale(job: Job) -> str:
        write_result(job, 0, PartResult())
        return "ended"

    with pytest.raises(LabelFailed, match="ended"):
        start(stale)
    with pytest.raises(LabelFailed, match="4 of 4 parts have no result"):
        start(lambda job: "")


def test_the_summary_adds_up_and_the_work_folder_goes(start: Any, tmp_path: pathlib.Path) -> None:
    summary, notes = start()
    assert (summary.files, summary.labelled, summary.kept, summary.gone) == (30, 30, 0, 0)
    assert list(summary.genres) == list(GENRES)
    assert sum(summary.genres.values()) + sum(summary.rejects.values()) == 30
    assert notes == []
    assert {path.name for path in (tmp_path / "labels").iterdir()} == {
        ".lock",
        "_labels.json",
        *(f"part-0000{index}-of-00004.parquet" for index in range(4)),
    }
    header = json.loads((tmp_path / "labels" / "_labels.json").read_text())
    assert header["model"]["genres"] == list(GENRES)
    assert "uri" not in header["model"]


def test_other_genres_and_another_catalogue_need_replace(
    start: Any, tmp_path: pathlib.Path
) -> None:
    start()
    ska = dataclasses.replace(MODEL, genres=("Folk", "Ska"), digest="e" * 64, version="4")
    with pytest.raises(UsageError, match="--replace"):
        start(model=ska)
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.mp3").write_text("a")
    with pytest.raises(UsageError, match="another catalogue"):
        start(data=str(other))
    summary, notes = start(model=ska, data=str(other), replace=True)
    assert (summary.files, summary.labelled, summary.gone) == (1, 1, 30)
    assert "all files are labelled again with model version 4" in notes[0]
    assert start(model=ska, data=str(other))[0].kept == 1


@pytest.mark.parametrize("name", ["labels.csv", "LABELS.CSV"])
def test_the_name_of_a_csv_file_is_refused_unless_a_table_is_there(
    name: str, start: Any, tmp_path: pathlib.Path
) -> None:
    place = tmp_path / name
    with pytest.raises(UsageError, match="a table is a folder of Parquet files") as caught:
        start(output=str(place))
    assert str(caught.value).endswith(f"write --output {place.with_suffix('')} --csv")
    assert not place.exists()
    summary, _ = start()
    (tmp_path / "labels").rename(place)
    assert start(output=str(place))[0].kept == summary.files


def test_the_same_genres_in_another_order_are_labelled_again(start: Any) -> None:
    start()
    turned = dataclasses.replace(MODEL, genres=("Rock", "Folk"), digest="e" * 64)
    summary, notes = start(model=turned)
    assert summary.labelled == 30
    assert len(notes) == 1


def test_a_catalogue_that_outgrew_its_table_is_told(
    start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "MAX_ROWS_PER_PART", 7)
    with pytest.raises(UsageError, match="30 are too many for its parts; choose another --output"):
        start()


def test_unchanged_rows_take_little_time(
    start: Any, music: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Listing, reading and comparing; the figure is in benchmarks.label."""
    for index in range(30, 3000):
        (music / f"{index}.mp3").hardlink_to(music / "0.mp3")
    start()
    begun = time.monotonic()
    summary, _ = start()
    assert (summary.kept, summary.labelled) == (3000, 0)
    assert time.monotonic() - begun < 60 * 3000 / 50_000 * 4


def test_a_model_is_known_by_its_weights_or_else_by_its_files(
    toy_models: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    import shutil

    from components.storage.copies import local_copies

    copy = tmp_path / "model"
    shutil.copytree(toy_models / "2", copy)
    with local_copies() as copies:
        facts = find_model(str(toy_models), copies)
        assert (facts.version, facts.digest) == ("2", f"{2:064x}")
        moved = find_model(str(copy), copies)
        assert (moved.version, moved.digest) == ("", facts.digest)
        card = copy / "assets" / "model_card.json"
        card.write_text("{}")
        by_files = find_model(str(copy), copies)
        assert by_files.digest != facts.digest
        assert len(by_files.digest) == 64
        (copy / "assets" / "further").write_text("x")
        assert find_model(str(copy), copies).digest != by_files.digest
    assert files.read_text(str(card)) == "{}"


def test_a_full_disk_is_told_with_its_place(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(listing, "distribute", full)
    with pytest.raises(LabelFailed, match=r"labels or .*: No space left on device; mend that"):
        start()


def test_a_refused_run_leaves_no_work_folder(start: Any, tmp_path: pathlib.Path) -> None:
    start()
    with pytest.raises(UsageError, match="no interrupted run"):
        start(resume=True)
    assert not (tmp_path / "labels" / "_work").exists()
