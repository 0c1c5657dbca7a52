"""A network that is tuned before it is trained: killed, resumed, changed."""

from __future__ import annotations

import csv
import json
import os
import pathlib
import signal
import subprocess
import time
from typing import Any

import pytest

from tests.support.commands import QUICK, finish, start, worker_pids

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

CONFIG = f"""{QUICK}
[models.ffnn]
[tuning]
networks = ["cnn_small"]
trials = 3
epochs = 1
algorithm = "random"
learning_rate = [0.0003, 0.03]
batch_size = [4, 8, 16]
dropout = [0.1, 0.6]
l2 = [1e-6, 1e-3]
"""


def _kill_in_trial(process: subprocess.Popen[str], work_dir: pathlib.Path, number: int) -> None:
    for _ in range(6000):  # 10 minutes
        for log in (work_dir / "logs").glob("*.events.jsonl"):
            if f'"trial": {number},' in log.read_text():
                for group in [*worker_pids(work_dir), process.pid]:
                    os.killpg(group, signal.SIGKILL)
                process.communicate()
                return
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.1)
    raise AssertionError(f"the search never reached trial {number}")


def _trained_trials(work_dir: pathlib.Path) -> list[int]:
    """Return the trials that the last run trained."""
    log = max((work_dir / "logs").glob("*.events.jsonl"))
    events = [json.loads(line) for line in log.read_text().splitlines()]
    return sorted({event["trial"] for event in events if "trial" in event})


def _history(work_dir: pathlib.Path, name: str) -> dict[str, Any]:
    outputs = work_dir / "pipeline" / f"Trainer.{name}" / "model_run"
    last = max(outputs.iterdir(), key=lambda path: int(path.name))
    found: dict[str, Any] = json.loads((last / "history.json").read_text())
    return found


@pytest.mark.timeout(1800)
def test_a_killed_search_resumes_and_its_values_are_used(
    corpus: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    config = tmp_path / "tuned.toml"
    config.write_text(CONFIG)
    work = tmp_path / "w"
    command = ("run", "-c", config, "-d", corpus, "-w", work)

    process = start(*command)
    _kill_in_trial(process, work, 2)
    assert any(path.suffix == ".json" for path in (work / "checkpoints").iterdir())
    assert not (work / "tuning").exists()

    output = finish(start(*command))
    assert "cnn_small: resumes after trial 1, where an earlier run was interrupted" in output
    assert _trained_trials(work) == [2, 3]
    assert list((work / "checkpoints").iterdir()) == []
    assert "cnn_small: 3 trials" in output
    assert f"tuning     {work / 'tuning'}" in output
    folder = work / "tuning" / "cnn_small"
    assert {path.name for path in folder.iterdir()} == {"trials.csv", "trials.json", "trials.png"}
    with (folder / "trials.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["trial"] for row in rows] == ["1", "2", "3"]
    (best,) = [row for row in rows if row["best"]]
    assert float(best["val_loss"]) == min(float(row["val_loss"]) for row in rows)

    results = json.loads((work / "results.json").read_text())
    tuning = results["models"]["cnn_small"]["tuning"]
    assert "tuning" not in results["models"]["ffnn"]
    assert tuning["trials"] == 3
    assert tuning["best_trial"] == int(best["trial"])
    for name, value in tuning["values"].items():
        assert float(best[name]) == value
    history = _history(work, "cnn_small")
    assert history["tuned"] == tuning["values"]
    assert {name: history["settings"][name] for name in tuning["values"]} == tuning["values"]
    assert _history(work, "ffnn")["tuned"] == {}

    # Another search runs with its network's training, and no other network trains.
    output = finish(start(*command, "--set", "tuning.seed=1"))
    nodes = json.loads((work / "results.json").read_text())["nodes"]
    assert nodes["Tuner.cnn_small"]["outcome"] == nodes["Trainer.cnn_small"]["outcome"] == "done"
    assert nodes["Trainer.ffnn"]["outcome"] == nodes["SpectrogramGen"]["outcome"] == "cached"
    assert _trained_trials(work) == [1, 2, 3]
    again = json.loads((folder / "trials.json").read_text())
    assert again["seed"] == 1
    rates = {trial["values"]["learning_rate"] for trial in again["trials"]}
    assert rates.isdisjoint(float(row["learning_rate"]) for row in rows)

    # Without a search its results are deleted, and the network trains with [training].
    output = finish(start(*command, "--set", "tuning.trials=0"))
    assert not (work / "tuning").exists()
    assert "tuning     " not in output
    assert _history(work, "cnn_small")["tuned"] == {}
