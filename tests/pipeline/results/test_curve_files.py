"""Tests of copying curves from the artifacts into the work folder."""

from __future__ import annotations

import json
import pathlib
import types
from typing import Any

import pytest

from components.artifacts import files as artifact_files
from components.models.settings import ModelSettings
from pipeline.config.schema import Config
from pipeline.results import publish as outputs

FILE = "events.out.tfevents.0000000001.genreflow"


class Record:
    """Stand-in for a run in ML Metadata: the folder of each network's run."""

    def __init__(self, folder: str, runs: dict[str, str]) -> None:
        self._runs = {name: f"{folder}/{run}" for name, run in runs.items()}

    def outputs(self, node: str) -> dict[str, Any]:
        return {"model_run": types.SimpleNamespace(uri=self._runs[node.removeprefix("Trainer.")])}


@pytest.fixture(params=["local", "remote"])
def artifacts(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> str:
    """Return the runs of a network of two phases and of a network of one."""
    folder = str(tmp_path / "artifacts")
    if request.param == "remote":
        folder = f"s3://{request.getfixturevalue('bucket')}/runs"
    for run, phases in (("1", ("head", "fine_tune")), ("2", ("train",))):
        history = {"phases": [{"phase": phase} for phase in phases]}
        artifact_files.write_text(f"{folder}/{run}/history.json", json.dumps(history))
        artifact_files.write_text(f"{folder}/{run}/curves.png", f"picture {run}")
        for phase in phases:
            artifact_files.write_text(f"{folder}/{run}/{phase}/{FILE}", f"{run} {phase}")
    return folder


def _files(folder: pathlib.Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


def _copy(runs: dict[str, str], artifacts: str, folder: pathlib.Path) -> None:
    config = Config(models={name: ModelSettings() for name in runs})
    outputs.copy_curves(config, Record(artifacts, runs), str(folder))  # type: ignore[arg-type]


def test_the_folder_shows_the_networks_of_the_run_and_no_others(
    artifacts: str, tmp_path: pathlib.Path
) -> None:
    folder = tmp_path / "curves"
    _copy({"vgg16": "1", "cnn_small": "2"}, artifacts, folder)
    assert _files(folder) == {
        "vgg16.png": "picture 1",
        f"vgg16/head/{FILE}": "1 head",
        f"vgg16/fine_tune/{FILE}": "1 fine_tune",
        "cnn_small.png": "picture 2",
        f"cnn_small/train/{FILE}": "2 train",
    }
    # What a broken-off run of other settings left, and what somebody put there.
    (folder / "vgg16" / "train").mkdir()
    (folder / "vgg16" / "train" / "events.out.tfevents.0000000002.genreflow").touch()
    (folder / "notes.png").write_text("mine")
    _copy({"vgg16": "2"}, artifacts, folder)
    assert _files(folder) == {
        "vgg16.png": "picture 2",
        f"vgg16/train/{FILE}": "2 train",
        "notes.png": "mine",
    }


def test_files_that_tensorboard_may_be_reading_stay_the_same_files(
    artifacts: str, tmp_path: pathlib.Path
) -> None:
    folder = tmp_path / "curves"
    live = folder / "cnn_small" / "train" / FILE
    live.parent.mkdir(parents=True)
    live.write_text("2 train")
    before = live.stat().st_ino, live.stat().st_mtime_ns
    _copy({"cnn_small": "2"}, artifacts, folder)
    assert (live.stat().st_ino, live.stat().st_mtime_ns) == before
    assert (folder / "cnn_small.png").is_file()
