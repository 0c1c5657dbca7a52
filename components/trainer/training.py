"""Training of a network, in Keras alone and on any of its backends. No TFX, no TensorFlow.

Networks with a trained base have two phases, as in the reference study: "head" trains the new
dense layers on the frozen base, then "fine_tune" trains the base at a lower rate with the head
fixed. Other networks have one phase, "train".
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator

import keras
import numpy as np
import numpy.typing as npt

from components.models.network import Network
from components.trainer import step_graphs
from components.trainer.batches import Source
from components.trainer.callbacks import (
    EpochRecord,
    EpochWatcher,
    Reporter,
    TrainingError,
    no_report,
    no_watcher,
)
from components.trainer.checkpoints import Checkpoint
from components.trainer.devices import ONE_DEVICE, Placement
from components.trainer.features import FeatureCache
from components.trainer.phases import PhaseRecord, Run
from components.trainer.resolved import ResolvedSettings


@dataclasses.dataclass(frozen=True)
class TrainingHistory:
    """Record of a training.

    Attributes:
      phases: records of the phases, in order.
      epochs: records of all epochs, in order.
      train_seconds: duration, with that of an interrupted run.
      resumed_epochs: number of epochs that an earlier, interrupted run trained.
    """

    phases: tuple[PhaseRecord, ...]
    epochs: tuple[EpochRecord, ...]
    train_seconds: float
    resumed_epochs: int = 0


def train(
    network: Network,
    train_data: Source,
    validation_data: Source,
    settings: ResolvedSettings,
    *,
    report: Reporter = no_report,
    on_epoch: EpochWatcher = no_watcher,
    checkpoint: Checkpoint | None = None,
    scratch_dir: str | None = None,
    feature_cache: FeatureCache | None = None,
    placement: Placement = ONE_DEVICE,
) -> TrainingHistory:
    """Train `network` in place and leave it with the weights of its best epoch.

    The best epoch has the lowest validation loss. A phase ends early after `settings.patience`
    epochs without a lower one. On a CPU the same seed, data and machine give the same weights,
    also if the training was interrupted and resumed. The optimizer is Adam, the loss is
    cross-entropy, and a network that computes in float16 has a loss scale.

    Args:
      network: freshly built, in the precision that it trains in.
      train_data, validation_data: spectrograms in dB and their labels.
      settings: epochs, rates, patience, seed, ...
      report: receives the progress (see callbacks.Recorder).
      on_epoch: receives the record of every epoch, first those of an interrupted training.
      checkpoint: keeps the state after every epoch. The caller removes it once the result is
        safe.
      scratch_dir: see features.compute_features.
      feature_cache: keeps a frozen base's features for further trainings on the same data;
        None keeps them for this one.
      placement: the devices. Several replicas have the same loss as one device, but each
        normalises its own part of a batch.

    Raises:
      TrainingError: no clips, a label that the network has no output for, or a loss that
        is no longer a number.
    """
    started = time.monotonic()
    for split, source in (("train", train_data), ("validation", validation_data)):
        _check(split, source.labels, network.model.output_shape[-1])
    keras.utils.set_random_seed(settings.seed % 2**32)
    run = Run(
        network,
        train_data,
        validation_data,
        settings,
        report,
        on_epoch,
        checkpoint or Checkpoint(None),
        placement,
    )
    with step_graphs.released():
        if network.base is None or not network.two_phase:
            run.phase("train", network.model)
        else:
            if not run.is_done("head"):
                feature_cache = feature_cache or FeatureCache(settings.batch_size)
                _train_head(network, network.base, run, feature_cache, scratch_dir)
            if settings.fine_tune_epochs:
                _free_base(network.base, network.head)
                run.phase("fine_tune", network.model)
    network.model.trainable = True
    return TrainingHistory(
        tuple(run.phases),
        tuple(run.epochs),
        run.seconds_before + time.monotonic() - started,
        run.resumed_epochs,
    )


def _train_head(
    network: Network,
    base: keras.Model,
    run: Run,
    feature_cache: FeatureCache,
    scratch_dir: str | None,
) -> None:
    base.trainable = False  # also puts its batch normalisation into inference mode
    network.head.trainable = True
    base.jit_compile = run.jit_compile
    sources = {"train": run.train_data, "validation": run.validation_data}
    features = feature_cache.of(base, sources, scratch_dir=scratch_dir, report=run.report)
    if features is None:
        run.phase("head", network.model)
    else:
        run.phase("head", network.head, features["train"], features["validation"])


def _free_base(base: keras.Model, head: keras.Model) -> None:
    """Make the base trainable and the head fixed; batch normalisation keeps its statistics."""
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


def _check(split: str, labels: npt.NDArray[np.int64], genres: int) -> None:
    if not len(labels):
        raise TrainingError(f"the {split} split has no clips: give it more tracks")
    wrong = labels[(labels < 0) | (labels >= genres)]
    if len(wrong):
        raise TrainingError(
            f"the {split} split holds label {wrong[0]}, but the network has {genres} genres: "
            "were the examples written with another list of genres?"
        )
