"""Phases of a training: fit, keep the best epoch's weights, save the state and resume from it."""

from __future__ import annotations

import dataclasses
import math
import time
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from components.models.network import Network
from components.trainer.batches import NO_AUGMENTATION, Padding, Source, unpadded_accuracy
from components.trainer.callbacks import (
    EpochRecord,
    EpochWatcher,
    PhaseName,
    Recorder,
    Reporter,
    TrainingError,
)
from components.trainer.checkpoints import Checkpoint, TrainingState, assign, values_of
from components.trainer.devices import MIXED_FLOAT16, Placement
from components.trainer.resolved import ResolvedSettings


@dataclasses.dataclass(frozen=True)
class PhaseRecord:
    """Record of one phase.

    Attributes:
      phase: its name.
      epochs: number of epochs trained.
      best_epoch: the epoch whose weights were kept, from 1; 0 if no epoch improved the model.
      best_val_loss: lowest validation loss of this phase and those before it.
      trained_parameters: number of weights that the phase trained.
      seconds: duration of its epochs.
    """

    phase: PhaseName
    epochs: int
    best_epoch: int
    best_val_loss: float
    trained_parameters: int
    seconds: float


class Run:
    """One training in progress: its inputs, and its records so far."""

    def __init__(
        self,
        network: Network,
        train_data: Source,
        validation_data: Source,
        settings: ResolvedSettings,
        report: Reporter,
        on_epoch: EpochWatcher,
        checkpoint: Checkpoint,
        placement: Placement,
    ) -> None:
        self.network = network
        self.train_data = train_data
        self.validation_data = validation_data
        self.settings = settings
        self.report = report
        self.on_epoch = on_epoch
        # JAX always compiles.
        self.jit_compile = placement.jit_compile or keras.backend.backend() == "jax"
        self._placement = placement
        self.phases: list[PhaseRecord] = []
        self.epochs: list[EpochRecord] = []
        self.seconds_before = 0.0
        self.resumed_epochs = 0
        self._checkpoint = checkpoint
        self._started = time.monotonic()
        self._saved = checkpoint.load()
        if checkpoint.damaged:
            report(note="the saved state of an earlier run is damaged; training starts again")
        if self._saved is not None:
            self.phases = [PhaseRecord(**values) for values in self._saved.meta["phases"]]

    def is_done(self, name: PhaseName) -> bool:
        """Return whether an earlier run has finished the phase."""
        return any(phase.phase == name for phase in self.phases)

    def phase(
        self,
        name: PhaseName,
        model: keras.Model,
        train_data: Source | None = None,
        validation_data: Source | None = None,
    ) -> None:
        """Fit `model`'s trainable weights, and keep those of the best epoch of all phases.

        Data that are passed are cached features, which cannot be augmented.
        """
        settings = self.settings
        fine_tune = name == "fine_tune"
        epochs = settings.fine_tune_epochs if fine_tune else settings.epochs
        rate = settings.fine_tune_learning_rate if fine_tune else settings.learning_rate
        augmentation = settings.augmentation if train_data is None else NO_AUGMENTATION
        train_data = train_data or self.train_data
        validation_data = validation_data or self.validation_data
        genres = model.output_shape[-1]
        soft = genres if settings.label_smoothing or augmentation.mixup else 0
        steps = -(-len(train_data) // settings.batch_size)
        weights = _class_weights(settings, train_data.labels, genres)
        accuracy: Any = {"metrics": ["accuracy"]}
        padding = validation_padding = None
        if (replicas := self._placement.replicas) > 1:
            each = np.array([(weights or {}).get(label, 1.0) for label in range(genres)])
            weights, padding = None, Padding(replicas, each.astype(np.float32))
            validation_padding = Padding.of_epoch(
                replicas, len(validation_data), settings.batch_size, genres
            )
            accuracy = {"weighted_metrics": [unpadded_accuracy(soft > 0)]}
        model.compile(
            optimizer=self._optimizer(model, _schedule(settings, rate, steps, epochs)),
            loss=keras.losses.CategoricalCrossentropy(label_smoothing=settings.label_smoothing)
            if soft
            else keras.losses.SparseCategoricalCrossentropy(),
            jit_compile=self.jit_compile,
            **accuracy,
        )
        recorder = Recorder(
            name, epochs=epochs, batches=steps, learning_rate=rate, report=self.report
        )
        progress = self._resume(name, model)
        while progress.epoch < epochs and progress.waited < settings.patience:
            model.fit(
                train_data.batches(
                    settings.batch_size,
                    shuffle=(settings.seed, progress.epoch),
                    augmentation=augmentation,
                    genres=soft,
                    padding=padding,
                ),
                validation_data=validation_data.batches(
                    settings.batch_size, genres=soft, padding=validation_padding
                ),
                shuffle=False,  # Keras would draw the order of the batches from global state
                initial_epoch=progress.epoch,
                epochs=progress.epoch + 1,
                class_weight=weights,
                verbose=0,
                callbacks=[recorder],
            )
            self.epochs.append(recorder.records[-1])
            self.on_epoch(recorder.records[-1])
            progress.take(recorder.records[-1], model)
            self._save(name, model, progress)
        assign(model.variables, progress.best)
        self.phases.append(
            PhaseRecord(
                phase=name,
                epochs=progress.epoch,
                best_epoch=progress.best_epoch,
                best_val_loss=progress.best_val_loss,
                trained_parameters=_size(model.trainable_variables),
                seconds=sum(epoch.seconds for epoch in self.epochs if epoch.phase == name),
            )
        )

    def _optimizer(self, model: keras.Model, rate: Any) -> keras.optimizers.Optimizer:
        # A replica's gradients are a share of the total, and so is their largest norm.
        clip_norm = self.settings.clip_norm / self._placement.replicas
        optimizer = keras.optimizers.Adam(rate, global_clipnorm=clip_norm or None)
        if model.dtype_policy.name == MIXED_FLOAT16:
            # It removes the scale before the gradients are clipped.
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        return self._placement.synchronise(optimizer)

    def _resume(self, name: PhaseName, model: keras.Model) -> _Progress:
        """Return the progress at the phase's start, or that of an earlier run."""
        best_before = min((phase.best_val_loss for phase in self.phases), default=math.inf)
        fresh = _Progress(best=values_of(model.variables), best_val_loss=best_before)
        saved, self._saved = self._saved, None
        if saved is None or saved.meta["phase"] != name:
            return fresh
        model.optimizer.build(model.trainable_variables)
        groups = saved.arrays
        if len(groups["best"]) != len(model.variables) or not (
            assign(model.optimizer.variables, groups["optimizer"])
            and assign(model.variables, groups["model"])
        ):
            raise TrainingError("the saved state is of another network; delete it and run again")
        self.epochs = [EpochRecord(**values) for values in saved.meta["epochs"]]
        self.resumed_epochs = len(self.epochs)
        for record in self.epochs:
            self.on_epoch(record)
        self.report(
            note=f"resumes after epoch {len(self.epochs)}, where an earlier run was interrupted"
        )
        self.seconds_before = saved.meta["seconds"]
        return _Progress(best=groups["best"], **saved.meta["progress"])

    def _save(self, name: PhaseName, model: keras.Model, progress: _Progress) -> None:
        meta = {
            "phase": name,
            "phases": [dataclasses.asdict(phase) for phase in self.phases],
            "epochs": [dataclasses.asdict(epoch) for epoch in self.epochs],
            "seconds": self.seconds_before + time.monotonic() - self._started,
            "progress": progress.to_json(),
        }
        groups = {
            "model": values_of(model.variables),
            "optimizer": values_of(model.optimizer.variables),
            "best": progress.best,
        }
        problem = self._checkpoint.save(TrainingState(meta, groups))
        if problem:
            self.report(
                note=f"the state after epoch {progress.epoch} could not be saved ({problem}); if "
                "this run is interrupted, a rerun resumes from the state before it"
            )


@dataclasses.dataclass
class _Progress:
    """Progress of a phase.

    Attributes:
      best: weights of the best epoch of all phases.
      best_val_loss: its validation loss.
      best_epoch: its number in this phase, or 0.
      epoch: number of epochs done.
      waited: number of epochs since this phase's lowest loss.
      lowest: this phase's lowest validation loss.
    """

    best: list[npt.NDArray[Any]]
    best_val_loss: float
    best_epoch: int = 0
    epoch: int = 0
    waited: int = 0
    lowest: float = math.inf

    def take(self, record: EpochRecord, model: keras.Model) -> None:
        """Count an epoch, and keep its weights if its loss is the lowest so far."""
        self.epoch += 1
        self.waited = 0 if record.val_loss < self.lowest else self.waited + 1
        self.lowest = min(self.lowest, record.val_loss)
        if record.val_loss < self.best_val_loss:
            self.best_val_loss, self.best_epoch = record.val_loss, self.epoch
            self.best = values_of(model.variables)

    def to_json(self) -> dict[str, Any]:
        values = dataclasses.asdict(self)
        del values["best"]
        return values


def _schedule(settings: ResolvedSettings, rate: float, steps: int, epochs: int) -> Any:
    """Return a constant rate, or a schedule that warms up and then decays as half a cosine."""
    if settings.schedule == "constant":
        return rate
    warmup = min(settings.warmup_epochs, epochs - 1) * steps
    return keras.optimizers.schedules.CosineDecay(
        rate / max(1, warmup),
        decay_steps=max(1, epochs * steps - warmup),
        warmup_target=rate if warmup else None,
        warmup_steps=warmup,
    )


def _class_weights(
    settings: ResolvedSettings, labels: npt.NDArray[np.int64], genres: int
) -> dict[int, float] | None:
    """Return each genre's weight: all genres count the same, and the mean over clips is 1."""
    if settings.class_weights == "none":
        return None
    counts = np.bincount(labels, minlength=genres)
    present = np.count_nonzero(counts)
    return {
        label: float(len(labels) / (present * count)) if count else 0.0
        for label, count in enumerate(counts)
    }


def _size(variables: list[Any]) -> int:
    return sum(math.prod(variable.shape) for variable in variables)
