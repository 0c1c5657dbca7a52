"""Tests of TensorBoard's files, read by TensorBoard's own reader."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from components.trainer import training
from components.trainer.callbacks import EpochRecord, no_report
from components.trainer.checkpoints import Checkpoint
from components.trainer.event_log import SCALARS, EventLog
from tests.components.trainer.toys import clips, noisy_with_base, settings


def _record(number: int, phase: Any = "train", seconds: float = 2.0) -> EpochRecord:
    return EpochRecord(
        phase=phase,
        epoch=number,
        loss=1 / number,
        accuracy=number / 100,
        val_loss=2 / number,
        val_accuracy=number / 200,
        learning_rate=number / 1000,
        seconds=seconds,
    )


def _events(folder: pathlib.Path, tag: str) -> list[Any]:
    reader = EventAccumulator(str(folder))
    reader.Reload()
    assert sorted(reader.Tags()["scalars"]) == sorted(SCALARS)
    return list(reader.Scalars(tag))


def _steps(folder: pathlib.Path) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in _events(folder, "val_loss")]


def test_an_epoch_can_be_read_as_soon_as_it_is_over(tmp_path: pathlib.Path) -> None:
    log = EventLog(tmp_path, report=no_report)
    log(_record(1))
    assert _steps(tmp_path / "train") == [(1, 2.0)]
    log(_record(2))
    assert _steps(tmp_path / "train") == [(1, 2.0), (2, 1.0)]


def test_each_phase_is_a_run_and_steps_count_on(tmp_path: pathlib.Path) -> None:
    log = EventLog(tmp_path, report=no_report)
    for record in (_record(1, "head"), _record(2, "head"), _record(1, "fine_tune")):
        log(record)
    files = log.files()
    assert [path.split("/")[0] for path in files] == ["fine_tune", "head"]
    assert [step for step, _ in _steps(tmp_path / "head")] == [1, 2]
    assert [step for step, _ in _steps(tmp_path / "fine_tune")] == [3]
    for path, content in files.items():
        assert (tmp_path / path).read_bytes() == content


def test_wall_times_are_those_of_the_training(tmp_path: pathlib.Path) -> None:
    log = EventLog(tmp_path, report=no_report)
    for number, seconds in enumerate((2.0, 3.0, 5.0), start=1):
        log(_record(number, seconds=seconds))
    times = [event.wall_time for event in _events(tmp_path / "train", "loss")]
    assert [after - times[0] for after in times] == pytest.approx([0, 3, 8], abs=1e-3)


def test_what_an_earlier_training_left_is_gone(tmp_path: pathlib.Path) -> None:
    old = EventLog(tmp_path, report=no_report)
    for number in range(1, 6):
        old(_record(number))
    new = EventLog(tmp_path, report=no_report)
    new(_record(1))
    assert _steps(tmp_path / "train") == [(1, 2.0)]


def test_a_folder_that_cannot_be_written_is_told_once(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("")
    said: list[str] = []
    log = EventLog(
        tmp_path / "file" / "curves", report=lambda **fields: said.append(fields["note"])
    )
    for number in (1, 2):
        log(_record(number))
    (note,) = said
    assert "TensorBoard's files cannot be written" in note
    assert log.files() == {}


class Killed(BaseException):
    """Exception for the end of the process, which no code of training may catch."""


@pytest.mark.parametrize("killed_after", [1, 3, 4, 6])
def test_a_training_that_was_killed_has_each_step_once(
    tmp_path: pathlib.Path, killed_after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run is killed after TensorBoard got an epoch, and before its state is saved."""
    chosen = settings(epochs=4, fine_tune_epochs=3)
    checkpoint = Checkpoint(tmp_path / "state.npz")

    def train(log: EventLog) -> training.TrainingHistory:
        return training.train(
            noisy_with_base(pretrained=True),
            clips(24, 1),
            clips(9, 2),
            chosen,
            on_epoch=log,
            checkpoint=checkpoint,
        )

    save = Checkpoint.save
    saved = 0

    def kill(self: Checkpoint, state: Any) -> str | None:
        nonlocal saved
        saved += 1
        if saved == killed_after:
            raise Killed
        return save(self, state)

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "save", kill)
        with pytest.raises(Killed):
            train(EventLog(tmp_path / "live", report=no_report))
    history = train(EventLog(tmp_path / "live", report=no_report))
    assert history.resumed_epochs == killed_after - 1
    expected = [(step, epoch.val_loss) for step, epoch in enumerate(history.epochs, start=1)]
    head, fine_tune = (_steps(tmp_path / "live" / phase) for phase in ("head", "fine_tune"))
    assert [step for step, _ in head + fine_tune] == [1, 2, 3, 4, 5, 6, 7]
    assert head + fine_tune == [(step, pytest.approx(value)) for step, value in expected]
