"""Tests of `genreflow explore`: what it prints, and what it refuses."""

from __future__ import annotations

import pathlib
import re
import socket
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from genreflow.cli.app import app
from genreflow.exploring import preparation
from genreflow.exploring.marking import only_marker
from genreflow.exploring.run import ExploredRun
from genreflow.exploring.spectrograms import StoredClips
from genreflow.web import runner
from tests.genreflow.exploring.explored import out_of_fold, write_explored
from tests.genreflow.web.shell import client


def _explore(*arguments: str | pathlib.Path) -> Result:
    return CliRunner().invoke(
        app, ["explore", "--port", "0", *(str(argument) for argument in arguments)]
    )


@pytest.fixture
def work(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """Return the work folder of a run that is prepared already."""

    def prepare(run: ExploredRun, on_progress: Any) -> preparation.Prepared:
        on_progress({"event": "preparing", "stage": "reading", "done": 0, "total": 18})
        on_progress({"event": "preparing", "stage": "reading", "done": 9, "total": 18})
        judged = out_of_fold(run, {"train5": "Folk"})
        return preparation.Prepared(judged, StoredClips.of((), ()))

    monkeypatch.setattr(preparation, "prepare", prepare)
    return write_explored(tmp_path)


def test_it_prints_the_address_and_at_the_end_what_to_type(
    work: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def serve(application: Any, listener: socket.socket) -> None:
        page = client(application)
        (number,) = [n for n in range(18) if "train5" in page.get(f"/explore/songs/{n}").text]
        page.post(f"/explore/api/songs/{number}/mark?decision=relabel&genre=0")

    monkeypatch.setattr(runner, "serve", serve)
    result = _explore("--work-dir", work)
    assert result.exit_code == 0, result.output
    assert result.output.count("reading the spectrograms of 18 songs") == 1
    assert "/explore\n" in result.output
    assert f"labels     {work}/explore/labels.csv: 1 song differs from the run" in result.output
    assert f"run --config {work}/explore/config.toml --work-dir {work}" in result.output


def test_a_genre_that_the_marks_leave_without_songs_is_named_at_the_end(
    work: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def serve(application: Any, listener: socket.socket) -> None:
        page = client(application)
        found = re.findall(r'songs/(\d+)"', page.get("/explore/songs?genre=Rock&split=test").text)
        for number in found:
            page.post(f"/explore/api/songs/{number}/mark?decision=drop")

    monkeypatch.setattr(runner, "serve", serve)
    result = _explore("--work-dir", work)
    assert "warning: Rock has no test song left. The next run warns" in " ".join(
        result.output.split()
    )
    assert "next       " in result.output


def test_without_marks_it_ends_without_a_word_about_them(
    work: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "serve", lambda application, listener: None)
    result = _explore("--work-dir", work)
    assert result.exit_code == 0, result.output
    assert "run --config" not in result.output
    assert not (work / "explore" / "labels.csv").exists()


def test_a_folder_without_a_run_and_one_of_another_version_are_refused(
    work: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    result = _explore("--work-dir", tmp_path / "none")
    assert (result.exit_code, "no such folder" in result.output) == (2, True)
    (tmp_path / "empty").mkdir()
    result = _explore("--work-dir", tmp_path / "empty")
    assert (result.exit_code, "no run has finished there" in result.output) == (2, True)
    (work / "tracks.json").unlink()
    result = _explore("--work-dir", work)
    assert (result.exit_code, "tracks.json: missing" in result.output) == (1, True)


def test_a_port_in_use_a_wrong_output_and_a_second_program_are_refused(
    work: pathlib.Path,
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        result = _explore("--work-dir", work, "--port", port)
        assert (result.exit_code, port in result.output) == (2, True)
    result = _explore("--work-dir", work, "--port", "99999")
    assert (result.exit_code, "--port 99999" in result.output) == (2, True)
    result = _explore("--work-dir", work, "--output", work)
    assert (result.exit_code, "is a folder" in result.output) == (2, True)
    with only_marker(str(work)):
        result = _explore("--work-dir", work)
        assert (result.exit_code, "another genreflow explore" in result.output) == (1, True)
