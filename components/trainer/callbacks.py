"""What watches training: the record of each epoch, its progress, and losses that ran away."""

from __future__ import annotations

import dataclasses
import math
import time
from typing import Any, Literal, Protocol

import keras

from components.common.errors import GenreflowError

PhaseName = Literal["train", "head", "fine_tune"]
REPORT_INTERVAL_SECONDS = 0.2


class TrainingError(GenreflowError):
    """Training cannot go on. The text says where it was and what to change."""


class DivergedError(TrainingError):
    """The loss is no longer a number: with these settings, training goes nowhere."""


class Reporter(Protocol):
    """Takes progress as keyword fields, e.g. functools.partial(progress.report, "training").

    Either what Recorder sends, or `note` alone: a sentence for whoever watches.
    """

    def __call__(self, **fields: Any) -> None: ...


def no_report(**_fields: Any) -> None:
    """For who does not watch."""


@dataclasses.dataclass(frozen=True)
class EpochRecord:
    """One epoch: means over its clips (the loss with penalties), measured while it trained.

    `epoch` counts from 1 within its phase. The validation figures are of the weights at
    the epoch's end, and so is the learning rate.
    """

    phase: PhaseName
    epoch: int
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    learning_rate: float
    seconds: float


class EpochWatcher(Protocol):
    """Hears of each epoch in order, once it is over."""

    def __call__(self, record: EpochRecord) -> None: ...


def no_watcher(record: EpochRecord) -> None:
    """For who does not watch."""


class Recorder(keras.callbacks.Callback):  # type: ignore[misc]
    """Collects `records`, reports progress, and stops at a loss that is no number.

    Reports at most one batch each REPORT_INTERVAL_SECONDS, and the end of every epoch:
    phase, epoch, epochs, batch, batches (0 while unknown), loss, accuracy, and after an
    epoch val_loss and val_accuracy.
    """

    def __init__(
        self, phase: PhaseName, *, epochs: int, learning_rate: float, report: Reporter
    ) -> None:
        super().__init__()
        self.records: list[EpochRecord] = []
        self._phase = phase
        self._epochs = epochs
        self._learning_rate = learning_rate
        self._report = report
        self._epoch = 0
        self._batches = 0
        self._epoch_started = self._reported = -math.inf

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch = epoch + 1
        self._epoch_started = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        means = logs or {}
        self._check(means, "loss", f"batch {batch + 1} of epoch {self._epoch}")
        # The steps of a stream are unknown until its first epoch ended.
        self._batches = self.params.get("steps") or max(self._batches, 0)
        now = time.monotonic()
        if now - self._reported >= REPORT_INTERVAL_SECONDS:
            self._reported = now
            self._send(batch + 1, loss=means["loss"], accuracy=means["accuracy"])

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        means = logs or {}
        self._check(means, "val_loss", f"epoch {self._epoch}, on the validation split")
        record = EpochRecord(
            phase=self._phase,
            epoch=self._epoch,
            loss=float(means["loss"]),
            accuracy=float(means["accuracy"]),
            val_loss=float(means["val_loss"]),
            val_accuracy=float(means["val_accuracy"]),
            learning_rate=float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)),
            seconds=time.monotonic() - self._epoch_started,
        )
        self.records.append(record)
        self._batches = self.params.get("steps") or self._batches
        self._send(
            self._batches,
            loss=record.loss,
            accuracy=record.accuracy,
            val_loss=record.val_loss,
            val_accuracy=record.val_accuracy,
        )

    def _check(self, means: dict[str, Any], name: str, where: str) -> None:
        if not math.isfinite(means[name]):
            raise DivergedError(
                f"the loss became {means[name]} in {where} of phase {self._phase!r}; lower the "
                f"learning rate (it was {self._learning_rate}), or look for damaged examples"
            )

    def _send(self, batch: int, **means: float) -> None:
        self._report(
            phase=self._phase,
            epoch=self._epoch,
            epochs=self._epochs,
            batch=batch,
            batches=self._batches,
            **{name: float(value) for name, value in means.items()},
        )
