"""Tests of the end of `genreflow run`: verdict, next step and exit status."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner, Result

from genreflow.cli.app import app
from pipeline.local import runner
from pipeline.results.results_file import read_results
from tests.pipeline.finished import predicted_tracks, write_run

GENRES = ("Folk", "Rock")
REASON = "serving_wav: tone: Rock is 0.5 from the server and 0.75 by its spectrogram"
CONFIG = """
[dataset]
kind = "folder"
[split]
policy = "by_track"
[training]
batch_size = 4
[models.cnn_small]
"""


def _type(
    folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch, outcome: str, *, gate: bool, pushed: bool
) -> Result:
    """Run the command with a stub that returns a gate's and a server's verdict at once."""
    config, data, work = folder / "c.toml", folder / "data", folder / "w"
    config.write_text(CONFIG)
    for genre in GENRES:
        (data / genre).mkdir(parents=True)
        for number in range(12):
            noise = np.random.default_rng(number).normal(0, 0.1, 3 * 22050)
            soundfile.write(data / genre / f"{number}.wav", noise, 22050)
    rule = {"id": "floor", "outcome": "pass" if gate else "fail", "value": 0.5, "text": "half"}
    check = {"blessed": outcome == "passed", "engine": None, "outcome": outcome, "checks": []}
    finished = write_run(
        folder / "finished",
        GENRES,
        predicted_tracks(GENRES, {"cnn_small": [1, 1, 0, 1]}),
        gate={"blessed": gate, "rules": [{**rule, "interval": None}]},
        serving_check={**check, "text": REASON},
        pushed_version="17" if pushed else None,
    )

    def run(*_arguments: Any) -> Any:
        (work / "rejects.csv").write_text("track_id,uri,genre,reason,detail\n")
        if pushed:
            version = work / "serving_models" / "genreflow" / "17"
            version.mkdir(parents=True)
            (version / "saved_model.pb").touch()
        return read_results(str(finished))

    monkeypatch.setattr(runner, "run", run)
    command = ["run", "-c", config, "-d", data, "-w", work, "--require-blessing"]
    return CliRunner().invoke(app, [str(part) for part in command])


def test_a_candidate_that_a_server_could_not_serve_is_refused_in_plain_words(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = _type(tmp_path, monkeypatch, "failed", gate=True, pushed=False)
    assert done.exit_code == 3, done.output
    printed = done.output.replace("\n", "")
    assert "blessed by the gate, refused by ServingCheck" in printed
    assert f"✗ ServingCheck: {REASON}" in printed
    assert "pushed     nothing, and no model was pushed before" in printed
    assert "next       the model is good enough, but its files or its server failed" in printed
    assert "train longer" not in printed


def test_a_candidate_that_both_bless_is_told_as_pushed(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = _type(tmp_path, monkeypatch, "passed", gate=True, pushed=True)
    assert done.exit_code == 0, done.output
    assert "✓ ServingCheck: " in done.output
    assert "refused" not in done.output
    assert "genreflow/17" in done.output.replace("\n", "")


def test_a_candidate_that_the_gate_refused_was_not_served_and_nothing_is_said_of_it(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = _type(tmp_path, monkeypatch, "skipped", gate=False, pushed=False)
    assert done.exit_code == 3, done.output
    assert "not blessed" in done.output
    assert "ServingCheck" not in done.output
    assert "train longer" in done.output
