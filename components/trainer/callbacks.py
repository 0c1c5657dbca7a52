"""Callbacks of training: records of epochs, progress, and a stop when the loss diverges."""

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
    """Error that ends training. The message says where it happened and what to change."""


class DivergedError(TrainingError):
    """Error of a loss that is no longer a finite number."""


class Reporter(Protocol):
    """Receiver of progress, such as functools.partial(progress.report, "training")."""

    def __call__(self, **fields: Any) -> None:
        """Take the fields that Recorder sends, or `note` alone, a sentence to show."""


def no_report(**_fields: Any) -> None:
    """Ignore the progress."""


@dataclasses.dataclass(frozen=True)
class EpochRecord:
    """Record of one epoch.

    Attributes:
      phase: the phase's name.
      epoch: number within the phase, from 1.
      loss, accuracy: means over the train clips while they trained; the loss has penalties.
      val_loss, val_accuracy: means over the validation clips with the weights at the end.
      learning_rate: rate at the end.
      seconds: duration, validation included.
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
    """Receiver of the epochs' records, in order."""

    def __call__(self, record: EpochRecord) -> None:
        """Take the record of an epoch that has finished."""


def no_watcher(record: EpochRecord) -> None:
    """Ignore the record."""


class Recorder(keras.callbacks.Callback):  # type: ignore[misc]
    """Callback that collects `records`, reports progress and stops at a loss that diverged.

    It reports at most one batch each REPORT_INTERVAL_SECONDS, and the end of every epoch. The
    fields are phase, epoch, epochs (at most), batch, batches, loss and accuracy, and after an epoch
    val_loss and val_accuracy.
    """

    def __init__(
        self,
        phase: PhaseName,
        *,
        epochs: int,
        batches: int,
        learning_rate: float,
        report: Reporter,
    ) -> None:
        super().__init__()
        self.records: list[EpochRecord] = []
        self._phase = phase
        self._epochs = epochs
        self._learning_rate = learning_rate
        self._report = report
        self._epoch = 0
        self._batches = batches
        self._epoch_started = self._reported = -math.inf

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch = epoch + 1
        self._epoch_started = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        means = logs or {}
        self._check(means, "loss", f"batch {batch + 1} of epoch {self._epoch}")
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
                f"learning rate (it was {self._learning_rate}), or check the examples for damage"
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
