"""Training itself: Keras alone, on any of its backends. No TFX, no TensorFlow.

Networks with a base train in two phases, as the reference study did: "head" fits the
new dense layers on the frozen base, "fine_tune" then adapts the base at a lower rate
with the head fixed. Others have the one phase "train".
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Iterator
from typing import Any

import keras

from components.models.network import Network
from components.trainer import memory
from components.trainer.batches import Batches, Clips
from components.trainer.callbacks import (
    EpochRecord,
    FeatureProgress,
    PhaseName,
    Recorder,
    Reporter,
    TrainingError,
    no_report,
)
from components.trainer.settings import ResolvedSettings

FEATURE_BYTES = 4


@dataclasses.dataclass(frozen=True)
class PhaseRecord:
    """One phase. `best_epoch` is the one whose weights were kept, from 1; 0: those before it."""

    phase: PhaseName
    epochs: int
    best_epoch: int
    best_val_loss: float
    trained_parameters: int
    seconds: float


@dataclasses.dataclass(frozen=True)
class TrainingHistory:
    """What happened, in order."""

    phases: tuple[PhaseRecord, ...]
    epochs: tuple[EpochRecord, ...]
    train_seconds: float


def train(
    network: Network,
    train_data: Clips | Any,
    validation_data: Clips | Any,
    settings: ResolvedSettings,
    *,
    report: Reporter = no_report,
) -> TrainingHistory:
    """Trains `network` in place and leaves it with the weights of its best epoch.

    Best is the lowest validation loss; a phase ends early after `settings.patience`
    epochs without a better one. The same seed, data and machine give the same weights
    on a CPU. Adam, cross-entropy.

    Args:
      network: freshly built.
      train_data, validation_data: Clips with spectrograms in dB, or an iterable of
        `(mel_db, label)` batches that Keras takes (a tf.data.Dataset), which is shuffled
        and batched already. Clips are shuffled here.
      settings: epochs, rates, patience, seed.
      report: takes the progress (see callbacks.Recorder).

    Raises:
      TrainingError: no clips, a label that the network has no output for, or a loss that
        is no longer a number.
    """
    started = time.monotonic()
    for split, clips in (("train", train_data), ("validation", validation_data)):
        _check(split, clips, network.model.output_shape[-1])
    keras.utils.set_random_seed(settings.seed % 2**32)
    run = _Run(settings, report)
    if network.base is None:
        run.phase("train", network.model, train_data, validation_data, network=network)
    else:
        _train_head(network, network.base, train_data, validation_data, run)
        if settings.fine_tune_epochs:
            _free_base(network.base, network.head)
            run.phase("fine_tune", network.model, train_data, validation_data, network=network)
    network.model.trainable = True
    return TrainingHistory(tuple(run.phases), tuple(run.epochs), time.monotonic() - started)


class _Run:
    """The settings of one training, and its records so far."""

    def __init__(self, settings: ResolvedSettings, report: Reporter) -> None:
        self.settings = settings
        self.report = report
        self.phases: list[PhaseRecord] = []
        self.epochs: list[EpochRecord] = []

    def phase(
        self,
        name: PhaseName,
        model: keras.Model,
        train_data: Any,
        validation_data: Any,
        *,
        network: Network,
    ) -> None:
        """Fits `model`'s trainable weights; keeps those of the best epoch of all phases."""
        settings = self.settings
        fine_tune = name == "fine_tune"
        epochs = settings.fine_tune_epochs if fine_tune else settings.epochs
        rate = settings.fine_tune_learning_rate if fine_tune else settings.learning_rate
        before = network.model.get_weights() if fine_tune else None
        best_before = min((phase.best_val_loss for phase in self.phases), default=math.inf)
        started = time.monotonic()
        recorder = Recorder(name, epochs=epochs, learning_rate=rate, report=self.report)
        model.compile(
            optimizer=keras.optimizers.Adam(rate),
            loss="sparse_categorical_crossentropy",
            metrics=["accuracy"],
            jit_compile=_jit_compile(),
        )
        model.fit(
            _batches(train_data, settings.batch_size, shuffle_seed=settings.seed),
            validation_data=_batches(validation_data, settings.batch_size),
            epochs=epochs,
            verbose=0,
            callbacks=[
                recorder,
                keras.callbacks.EarlyStopping(
                    "val_loss", patience=settings.patience, restore_best_weights=True
                ),
            ],
        )
        best = min(recorder.records, key=lambda record: record.val_loss)
        kept = best.val_loss < best_before
        if before is not None and not kept:
            network.model.set_weights(before)
        self.epochs += recorder.records
        self.phases.append(
            PhaseRecord(
                phase=name,
                epochs=len(recorder.records),
                best_epoch=best.epoch if kept else 0,
                best_val_loss=min(best.val_loss, best_before),
                trained_parameters=_size(model.trainable_variables),
                seconds=time.monotonic() - started,
            )
        )


def _train_head(
    network: Network, base: keras.Model, train_data: Any, validation_data: Any, run: _Run
) -> None:
    base.trainable = False  # also puts its batch normalisation into inference mode
    network.head.trainable = True
    if _features_fit(base, train_data, validation_data):
        # A frozen base gives the same features in every epoch: one pass is enough.
        train_features = _features(base, train_data, run)
        validation_features = _features(base, validation_data, run)
        run.phase("head", network.head, train_features, validation_features, network=network)
    else:
        run.phase("head", network.model, train_data, validation_data, network=network)


def _free_base(base: keras.Model, head: keras.Model) -> None:
    """The base trains, the head is fixed; batch normalisation keeps its statistics."""
    head.trainable = False
    base.trainable = True
    for layer in _layers(base):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False


def _layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from _layers(layer)


def _features_fit(base: keras.Model, *data: Any) -> bool:
    if not all(isinstance(clips, Clips) for clips in data):
        return False
    clip_bytes = FEATURE_BYTES * math.prod(base.output_shape[1:])
    return sum(len(clips) for clips in data) * clip_bytes <= memory.cache_bytes()


def _features(base: keras.Model, clips: Clips, run: _Run) -> Clips:
    base.jit_compile = _jit_compile()
    features = base.predict(
        Batches(clips, run.settings.batch_size),
        verbose=0,
        callbacks=[FeatureProgress(report=run.report)],
    )
    return Clips(features, clips.labels)


def _batches(data: Clips | Any, batch_size: int, *, shuffle_seed: int | None = None) -> Any:
    if isinstance(data, Clips):
        return Batches(data, batch_size, shuffle_seed=shuffle_seed)
    return data


def _jit_compile() -> bool:
    # TensorFlow has no XLA kernel for antialiased resizing; JAX has, and needs the compiler.
    return bool(keras.backend.backend() == "jax")


def _check(split: str, data: Clips | Any, genres: int) -> None:
    if not isinstance(data, Clips):
        return
    if not len(data):
        raise TrainingError(f"the {split} split has no clips: give it more tracks")
    wrong = data.labels[(data.labels < 0) | (data.labels >= genres)]
    if len(wrong):
        raise TrainingError(
            f"the {split} split holds label {wrong[0]}, but the network has {genres} genres: "
            "were the examples written with another list of genres?"
        )


def _size(variables: list[Any]) -> int:
    return sum(math.prod(variable.shape) for variable in variables)
