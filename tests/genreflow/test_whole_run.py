"""Start of a run: the data come first, and a run that does not begin leaves nothing behind."""

from __future__ import annotations

import dataclasses
import pathlib
import sys
from typing import Any

import numpy as np
import pytest
import soundfile

from components.common.errors import DatasetError, GenreflowError
from genreflow.whole_run import run_with_events
from pipeline.config.load import load
from pipeline.config.schema import Config
from pipeline.local import runner
from pipeline.places import OWNER_FILE
from pipeline.prepare import survey

REFUSES = "report('failed', node=None, message='no weights', detail=None); sys.exit(1)"
BEGINS = "report('node_started', node='Trainer', index=0, total=1)\n"
CONFIG = """
[dataset]
kind = "folder"
data_dir = "{data}"
[split]
policy = "by_track"
[training]
batch_size = 4
[models.musicnn]
weights = "msd"
[audio]
front_end = "musicnn"
"""


@pytest.fixture
def data(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """Return a folder of two genres; published weights are nowhere."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    rng = np.random.default_rng(0)
    for genre in ("Folk", "Rock"):
        (tmp_path / "data" / genre).mkdir(parents=True)
        for index in range(6):
            path = tmp_path / "data" / genre / f"{index}.wav"
            soundfile.write(path, rng.normal(0, 0.1, 4 * 16000), 16000)
    return tmp_path / "data"


@pytest.fixture
def config(data: pathlib.Path, tmp_path: pathlib.Path) -> Config:
    path = tmp_path / "c.toml"
    path.write_text(CONFIG.format(data=data))
    return load(path)


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> Any:
    """Return a function that replaces the worker by a program, in which `report` reports."""

    def replace(code: str) -> None:
        script = tmp_path / "worker.py"
        script.write_text(f"import sys\nfrom components.common.progress import report\n{code}\n")
        monkeypatch.setattr(runner, "WORKER", (sys.executable, str(script)))

    return replace


def _fails(config: Config, work: pathlib.Path, kind: type[GenreflowError] = GenreflowError) -> str:
    with pytest.raises(kind) as caught:
        run_with_events(config, str(work), lambda event: None, lambda start: None)
    return str(caught.value)


def test_data_that_are_all_bad_are_told_before_weights_that_are_missing(
    data: pathlib.Path, config: Config, tmp_path: pathlib.Path
) -> None:
    for path in data.glob("*/*.wav"):
        path.write_text("not found")
    text = _fails(config, tmp_path / "w", DatasetError)
    assert f"{data}: none of 12 files that were tried is music that can be used; " in text
    assert "it is text and no audio" in text
    assert not (tmp_path / "w").exists()


def test_one_good_file_is_enough_to_begin(
    data: pathlib.Path, config: Config, tmp_path: pathlib.Path, worker: Any
) -> None:
    worker(REFUSES)
    for path in data.glob("*/[0-4].wav"):
        path.write_text("not found")
    assert _fails(config, tmp_path / "w") == "no weights"


def test_a_path_of_weights_is_looked_at_after_the_data(
    data: pathlib.Path, config: Config, tmp_path: pathlib.Path
) -> None:
    musicnn = dataclasses.replace(config.models["musicnn"], weights="./no/such")
    config = dataclasses.replace(config, models={"musicnn": musicnn})
    assert "no such folder" in _fails(config, tmp_path / "w")
    (data / "Folk" / "0.wav").rename(data / "0.wav")
    for path in data.glob("*/*.wav"):
        path.unlink()
    assert "no audio file" in _fails(config, tmp_path / "w")


def test_a_refusal_before_the_first_stage_leaves_nothing_behind(
    config: Config, tmp_path: pathlib.Path, worker: Any
) -> None:
    worker(REFUSES)
    root = tmp_path / "artifacts"
    config = dataclasses.replace(
        config, storage=dataclasses.replace(config.storage, pipeline_root=str(root))
    )
    assert _fails(config, tmp_path / "w") == "no weights"
    assert not (tmp_path / "w").exists()
    # The root belongs to nobody, so another work folder may take it.
    assert not (root / OWNER_FILE).exists()
    assert _fails(config, tmp_path / "another") == "no weights"


@pytest.mark.parametrize(
    "code",
    [
        pytest.param(BEGINS + REFUSES, id="a stage has begun"),
        pytest.param("sys.exit(7)", id="the message names the log"),
    ],
)
def test_what_a_run_has_written_stays(
    code: str, config: Config, tmp_path: pathlib.Path, worker: Any
) -> None:
    worker(code)
    _fails(config, tmp_path / "w")
    assert list((tmp_path / "w" / "logs").glob("*.log"))


def test_files_of_earlier_runs_stay(config: Config, tmp_path: pathlib.Path, worker: Any) -> None:
    worker(REFUSES)
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "results.json").write_text("{}")
    _fails(config, tmp_path / "w")
    assert (tmp_path / "w" / "results.json").exists()


def test_a_rerun_looks_at_no_file_first(
    config: Config, tmp_path: pathlib.Path, worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[Any] = []
    monkeypatch.setattr(survey, "check_some", lambda *arguments: looked.append(arguments))
    worker(REFUSES)
    _fails(config, tmp_path / "w")
    assert len(looked) == 1
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "results.json").write_text("{}")
    _fails(config, tmp_path / "w")
    assert len(looked) == 1


def test_a_folder_that_the_run_did_not_make_stays(
    config: Config, tmp_path: pathlib.Path, worker: Any
) -> None:
    worker(REFUSES)
    (tmp_path / "w" / "mine").mkdir(parents=True)
    (tmp_path / "w" / "link").symlink_to(tmp_path / "data")
    _fails(config, tmp_path / "w")
    assert (tmp_path / "w" / "mine").is_dir()
    assert (tmp_path / "w" / "link").is_symlink()
