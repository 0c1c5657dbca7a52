"""A training that is killed goes on where it was, as it is typed."""

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
# Dropout, augmentation, a schedule and a moving average: all of it has a state.
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
    """kill -9 for the command line and for all that it started, once an epoch's state is kept."""
    deadline = time.monotonic() + 900
    try:
        while not _has_passed(work_dir, epoch):
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline, "no training came so far"
            time.sleep(0.02)
    finally:
        for group in [*worker_pids(work_dir), process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        process.wait()


def _has_passed(work_dir: pathlib.Path, epoch: int) -> bool:
    """Whether a later epoch's first batch was reported: the state is kept just before it."""
    for log in (work_dir / "logs").glob("*.events.jsonl"):
        for line in log.read_text().splitlines():
            if line.endswith("}") and json.loads(line).get("epoch", 0) > epoch:
                return True
    return False


def _trainer_file(work_dir: pathlib.Path, key: str, name: str) -> Any:
    """The content of the only file of a name in the Trainer's last output of a key."""
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
def test_a_training_killed_and_typed_again_ends_as_an_unbroken_one(
    corpus: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = tmp_path / "quick.toml"
    config.write_text(CONFIG)
    work = tmp_path / "broken"
    typed = ("run", "-c", config, "-d", corpus, "-w", work)

    process = start(*typed)
    _kill_after_an_epoch(process, work, 2)
    assert worker_pids(work) == []
    (state,) = (work / "checkpoints").glob("*.npz")
    assert state.name.startswith("cnn_small-")
    assert not (work / "results.json").exists()
    # TensorBoard can look on while it trains.
    assert list((work / "curves" / "cnn_small" / "train").iterdir())

    output = finish(start(*typed))
    history = _history(work)
    done = history["resumed_epochs"]
    assert 2 <= done < EPOCHS
    assert f"cnn_small: resumes after epoch {done}, where an earlier run was interrupted" in output
    assert list((work / "checkpoints").iterdir()) == []

    unbroken = tmp_path / "unbroken"
    finish(start("run", "-c", config, "-d", corpus, "-w", unbroken))
    expected = _history(unbroken)
    assert expected["resumed_epochs"] == 0
    assert len(expected["epochs"]) == EPOCHS
    assert _without_times(history) == _without_times(expected)

    # In processes and work folders of their own, the same seed gave the same model.
    cards = [_trainer_file(folder, "model", "model_card.json") for folder in (work, unbroken)]
    assert cards[0] == cards[1]
    assert len(cards[0]["model_digest"]) == 64

    # The curves are whole, and what the user is told to type finds them.
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
        unbroken / "curves" / "cnn_small.png"
    ).read_bytes()
