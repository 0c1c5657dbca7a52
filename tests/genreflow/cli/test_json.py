"""Tests of what commands print for programs, and of how they end."""

from __future__ import annotations

import csv
import json
import pathlib
import re
import signal
import subprocess
import sys
import types
from typing import Any

import numpy as np
import pytest
import soundfile
import typer
from typer.testing import CliRunner, Result

from components.common.errors import DataError, UsageError
from components.datasets.track import Track
from genreflow.cli import devices as cli_devices
from genreflow.cli import exit as cli_exit
from genreflow.cli.app import app
from genreflow.cli.conclusion import Conclusion
from pipeline.work_dir import WorkDir
from tests.components.versions import made
from tests.pipeline.plain_results import plain_results, results_of
from tests.support import ROOT
from tests.support.documented import COMMAND_LINE, documented_keys

RATE_HZ = 22050
NAME = "a\u202eb \x1b[1m"


def _genreflow(*arguments: str | pathlib.Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def _json(result: Result, status: int = 0) -> Any:
    assert result.exit_code == status, result.output
    assert result.stdout.isascii()
    return json.loads(result.stdout)


@pytest.fixture
def music(tmp_path: pathlib.Path) -> pathlib.Path:
    """Return a folder of two genres of four songs, one of which is only text."""
    for genre in ("Folk", "Rock"):
        (tmp_path / "music" / genre).mkdir(parents=True)
        for index in range(4):
            samples = np.random.default_rng(index).normal(0, 0.1, 3 * RATE_HZ)
            soundfile.write(tmp_path / "music" / genre / f"{index}.wav", samples, RATE_HZ)
    (tmp_path / "music" / "Rock" / f"{NAME}.mp3").write_text("words")
    return tmp_path / "music"


def _check(music: pathlib.Path, *further: str) -> Result:
    return _genreflow("check-data", "-c", "folder", "-d", music, "--json", *further)


def test_check_data_prints_what_it_counts(music: pathlib.Path) -> None:
    found = _json(_check(music, "--set", "training.batch_size=4"))
    assert found.keys() == documented_keys("check-data")
    row = {"train": 2, "validation": 1, "test": 1, "all": 4}
    assert found["genres"] == {"Folk": row, "Rock": row}
    assert (found["tracks_usable"], found["tracks_left_out"]) == (8, 1)
    assert found["reasons"] == {"bad_metadata": 1}
    (left_out,) = found["left_out"]
    assert left_out.keys() == {"track_id", "uri", "genre", "reason", "detail"}
    assert left_out["track_id"] == f"Rock/{NAME}"
    assert found["problem"] is None
    assert found["cost"]["disk_bytes"] > found["cost"]["examples_bytes"] > 0


def test_check_data_prints_its_json_although_a_run_would_stop(music: pathlib.Path) -> None:
    result = _check(music, "--set", "training.batch_size=4000")
    found = _json(result, 2)
    assert "training.batch_size = 4000" in found["problem"]
    assert result.stderr.endswith(f"genreflow: a run would stop here: {found['problem']}\n")


def test_without_a_split_there_is_one_count_for_each_genre(music: pathlib.Path) -> None:
    for path in (music / "Folk").glob("*.wav"):
        if path.stem != "0":
            path.unlink()
    found = _json(_check(music), 2)
    assert found["genres"] == {"Folk": {"all": 1}, "Rock": {"all": 4}}


def test_devices_prints_what_is_known_also_without_tensorflow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    facts = {"libraries": {"libcuda.so.1": {"error": "none"}}}
    program = f"print({json.dumps(facts)!r}); raise SystemExit('no luck')"
    monkeypatch.setattr(cli_devices, "PROBE", (sys.executable, "-c", program))
    found = _json(_genreflow("devices", "--json"))
    assert found.keys() == documented_keys("devices")
    assert found["libraries"] == facts["libraries"]
    assert (found["training"], found["problem"]) == (None, "no luck")
    assert found["cpu"]["usable_cores"] >= 1


def test_report_prints_its_path(tmp_path: pathlib.Path) -> None:
    page = tmp_path / "w" / "report" / "index.html"
    page.parent.mkdir(parents=True)
    page.write_text("")
    found = _json(_genreflow("report", "-w", tmp_path / "w", "--json"))
    assert found == {"report": str(page)}
    assert found.keys() == documented_keys("report")


def _conclusion(folder: pathlib.Path, **changes: Any) -> Conclusion:
    work = WorkDir.at(folder / "work")
    work.root.mkdir(parents=True)
    with work.rejects.open("w", newline="") as file:
        csv.writer(file).writerows([["track_id"], ["Rock/1"]])
    corpus: Any = types.SimpleNamespace(
        tracks=[Track(f"Rock/{n}", f"/music/Rock {n}.mp3", "Rock") for n in (1, 2, 3)],
        leaky=False,
        split_of_clip=lambda track_id, index: "train" if track_id == "Rock/3" else "test",
    )
    places: Any = types.SimpleNamespace(models=str(folder / "models"))
    return Conclusion(results_of(**changes), work, places, corpus, 61.25)


def _push(folder: pathlib.Path, version: str) -> str:
    path = folder / "models" / version
    made.version(str(path.parent), int(version))
    return str(path)


def test_a_run_prints_where_its_model_is_and_what_to_type(tmp_path: pathlib.Path) -> None:
    pushed = _push(tmp_path, "17")
    found = _conclusion(tmp_path, pushed_version="17").as_json()
    assert found.keys() == documented_keys("run") - {"tuning"}
    assert documented_keys("run") == documented_keys("demo")
    assert (found["pushed"], found["serving"], found["pushed_version"]) == (pushed, pushed, "17")
    assert found["seconds"] == 61.2
    assert found["test_track_accuracy"] == {"value": 0.5, "low": 0.4, "high": 0.6}
    predict, serve = found["next"]
    # The first test track that was not left out; with its space quoted.
    assert predict.endswith(f" predict '/music/Rock 2.mp3' --model-dir {tmp_path}/models")
    assert serve.endswith(f" serve --model-dir {tmp_path}/models")
    json.dumps(found)


def test_a_run_that_pushed_nothing_says_what_serves(tmp_path: pathlib.Path) -> None:
    gate = {**plain_results()["gate"], "blessed": False}
    before = _push(tmp_path, "3")
    found = _conclusion(tmp_path, pushed_version=None, gate=gate).as_json()
    assert (found["pushed"], found["serving"], found["blessed"]) == (None, before, False)
    assert len(found["next"]) == 2


def test_without_any_model_there_is_nothing_to_type(tmp_path: pathlib.Path) -> None:
    gate = {**plain_results()["gate"], "blessed": False}
    found = _conclusion(tmp_path, pushed_version=None, gate=gate).as_json()
    assert (found["pushed"], found["serving"], found["next"]) == (None, None, [])


@pytest.mark.parametrize("name", ["run", "demo"])
def test_a_run_that_cannot_start_prints_nothing_to_stdout(
    name: str, tmp_path: pathlib.Path
) -> None:
    config = ["-c", "folder", "-d", str(tmp_path)] if name == "run" else ["--set", "x=1"]
    result = _genreflow(name, *config, "--json", "-w", tmp_path / "w")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("genreflow: ")


def test_the_page_lists_the_exit_statuses() -> None:
    section = COMMAND_LINE.partition("## Exit status\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (\d+) \| (.*) \|$", section, re.MULTILINE)
    assert {int(status): text for status, text in rows} == cli_exit.EXIT_STATUSES


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UsageError("no"), 2),
        (DataError("no"), 1),
        (FileNotFoundError(2, "No such file", "x"), 1),
        (BrokenPipeError(), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_every_error_has_a_status_of_the_table(
    error: BaseException, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(cli_exit.os, "dup2", lambda *_: None)

    @cli_exit.command
    def work() -> int:
        raise error

    with pytest.raises(typer.Exit) as ended:
        work()
    assert ended.value.exit_code == status
    assert status in cli_exit.EXIT_STATUSES


def test_nothing_but_the_table_ends_a_command() -> None:
    for path in (ROOT / "genreflow" / "cli").rglob("*.py"):
        exits = re.findall(r"(?:sys\.exit|typer\.Exit)\((\w+)\)", path.read_text("utf-8"))
        assert set(exits) <= {"EXIT_INTERRUPTED", "EXIT_USAGE", "status"}, path


def test_a_reader_that_stops_early_ends_it_without_a_word() -> None:
    code = (
        "from genreflow.cli.exit import command\n"
        "import typer\n"
        "@command\n"
        "def work():\n"
        "    for _ in range(100000): print('x' * 100)\n"
        "    return 0\n"
        "try: work()\n"
        "except typer.Exit as end: raise SystemExit(end.exit_code)\n"
    )
    line = f"'{sys.executable}' -c \"$CODE\" | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", line], cwd=ROOT, env={"CODE": code, "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["x" * 100, "1"]
