"""A step's log while its node runs."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from components.common import progress
from components.common.progress import EVENT_FILE_VARIABLE
from kubeflow.steps import step_log


def test_what_a_node_reports_is_printed_whichever_process_it_is_from(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pipeline.display.progress.PLAIN_SECONDS", 0.0)
    monkeypatch.delenv(EVENT_FILE_VARIABLE, raising=False)
    numbers = {"loss": 1.25, "accuracy": 0.5, "val_loss": None, "val_accuracy": None}
    with step_log.progress_lines("Trainer.ffnn"):
        progress.report("training", architecture="ffnn", note="begins [anew]")
        program = (
            "from components.common import progress\n"
            "progress.report('training', architecture='ffnn', "
            f"phase='train', epoch=2, epochs=4, batch=5, batches=10, **{numbers})"
        )
        subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    assert EVENT_FILE_VARIABLE not in os.environ
    lines = capsys.readouterr().out.splitlines()
    assert "  ffnn: begins [anew]" in lines
    (line,) = [line for line in lines if "batches" in line]
    assert line.startswith("    Trainer.ffnn  15/40 batches")
    assert line.endswith("train 2/4  loss 1.25  acc 0.50")


def test_an_error_ends_it_and_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(EVENT_FILE_VARIABLE, "of somebody else")
    with pytest.raises(KeyError), step_log.progress_lines("Pusher"):
        raise KeyError("x")
    assert os.environ[EVENT_FILE_VARIABLE] == "of somebody else"
