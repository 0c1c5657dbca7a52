"""A killed training resumes when its command is rerun."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import time
from typing import Any

import pytest

from tests.support.commands import OPEN_GATE, finish, start, worker_pids

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

EPOCHS = 8
# Dropout, augmentation, the schedule and the moving average all have a state.
CONFIG = f"""{OPEN_GATE}
[dataset]
kind = "fma"
[split]
policy = "official"
[training]
epochs = {EPOCHS}
batch_size = 8
patience = 100
[training.augmentation]
time_masks = 1
mixup = 0.2
[models.cnn_small]
"""


def _kill_after_an_epoch(
    process: subprocess.Popen[str], work_dir: pathlib.Path, epoch: int
) -> None:
    """Kill the command and all its processes with SIGKILL once an epoch's state is stored."""
    deadline = time.monotonic() + 900
    try:
        while not _has_passed(work_dir, epoch):
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline, f"the training never passed epoch {epoch}"
            time.sleep(0.02)
    finally:
        for group in [*worker_pids(work_dir), process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        process.wait()


def _has_passed(work_dir: pathlib.Path, epoch: int) -> bool:
    """Return whether a later epoch reported a batch; the state is stored just before."""
    for log in (work_dir / "logs").glob("*.events.jsonl"):
        for line in log.read_text().splitlines():
            if line.endswith("}") and json.loads(line).get("epoch", 0) > epoch:
                return True
    return False


def _trainer_file(work_dir: pathlib.Path, key: str, name: str) -> Any:
    """Read the only file of a name in the Trainer's last output of a key."""
    outputs = work_dir / "pipeline" / "Trainer.cnn_small" / key
    last = max(outputs.iterdir(), key=lambda path: int(path.name))
    (file,) = last.rglob(name)
    return json.loads(file.read_text())


def _history(work_dir: pathlib.Path) -> dict[str, Any]:
    return _trainer_file(work_dir, "model_run", "history.json")


def _without_times(history: dict[str, Any]) -> dict[str, Any]:
    values = json.loads(json.dumps(history))
    for name in ("train_seconds", "resumed_epochs"):
        del values[name]
    for part in (*values["phases"], *values["epochs"]):
        del part["seconds"]
    return values


@pytest.mark.timeout(3600)
def test_a_training_killed_and_rerun_ends_as_an_uninterrupted_one(
    corpus: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = tmp_path / "quick.toml"
    config.write_text(CONFIG)
    work = tmp_path / "killed"
    command = ("run", "-c", config, "-d", corpus, "-w", work)

    process = start(*command)
    _kill_after_an_epoch(process, work, 2)
    assert worker_pids(work) == []
    (state,) = (work / "checkpoints").glob("*.npz")
    assert state.name.startswith("cnn_small-")
    assert not (work / "results.json").exists()
    # TensorBoard can show the training while it runs.
    assert list((work / "curves" / "cnn_small" / "train").iterdir())

    output = finish(start(*command))
    history = _history(work)
    done = history["resumed_epochs"]
    assert 2 <= done < EPOCHS
    assert f"cnn_small: resumes after epoch {done}, where an earlier run was interrupted" in output
    assert list((work / "checkpoints").iterdir()) == []

    uninterrupted = tmp_path / "uninterrupted"
    finish(start("run", "-c", config, "-d", corpus, "-w", uninterrupted))
    expected = _history(uninterrupted)
    assert expected["resumed_epochs"] == 0
    assert len(expected["epochs"]) == EPOCHS
    assert _without_times(history) == _without_times(expected)

    # The same seed gives the same model in other processes and another work folder.
    folders = (work, uninterrupted)
    cards = [_trainer_file(folder, "model", "model_card.json") for folder in folders]
    assert cards[0] == cards[1]
    assert len(cards[0]["model_digest"]) == 64

    # The curves are complete, and the printed command finds them.
    curves = work / "curves"
    assert f"tensorboard --logdir {curves}" in output.replace("\n", "")
    reader = EventAccumulator(str(curves / "cnn_small" / "train"))
    reader.Reload()
    assert [(event.step, event.value) for event in reader.Scalars("val_loss")] == [
        (step, pytest.approx(epoch["val_loss"]))
        for step, epoch in enumerate(history["epochs"], start=1)
    ]
    assert (curves / "cnn_small.png").read_bytes().startswith(b"\x89PNG")
    assert (curves / "cnn_small.png").read_bytes() == (
        uninterrupted / "curves" / "cnn_small.png"
    ).read_bytes()
