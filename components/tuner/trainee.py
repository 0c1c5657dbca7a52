"""One network, trained anew with the values of each trial and measured on the validation
split. Keras alone: no TFX, no TensorFlow."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import keras
import numpy as np

from components.models.network import Defaults, Network
from components.models.settings import ModelSettings
from components.trainer.batches import Source
from components.trainer.callbacks import DivergedError, Reporter
from components.trainer.checkpoints import Checkpoint
from components.trainer.devices import Gpu, Placement
from components.trainer.resolved import ResolvedSettings, resolve
from components.trainer.settings import TrainingSettings
from components.trainer.training import TrainingHistory
from components.trainer.tuned import TUNABLE, Values, with_values
from components.tuner.settings import TuningSettings
from components.tuner.trials import Measured

# As Keras's own cross-entropy cuts probabilities.
_MIN_PROBABILITY = 1e-7


class Fit(Protocol):
    """components.trainer.training.train, with all that does not change between trials."""

    def __call__(
        self,
        network: Network,
        train_data: Source,
        validation_data: Source,
        settings: ResolvedSettings,
        *,
        report: Reporter,
        checkpoint: Checkpoint,
        placement: Placement,
    ) -> TrainingHistory: ...


def trial_tables(
    training: TrainingSettings, model: ModelSettings, tuning: TuningSettings
) -> tuple[TrainingSettings, ModelSettings]:
    """[training] and a network's table as a trial uses them: for the epochs and on the clips
    of [tuning], and without a second phase."""
    limits = [limit for limit in (model.max_train_clips, tuning.max_train_clips) if limit]
    return (
        dataclasses.replace(training, epochs=tuning.epochs, fine_tune_epochs=0),
        dataclasses.replace(
            model,
            epochs=None,
            fine_tune_epochs=None,
            max_train_clips=min(limits, default=0),
        ),
    )


class Trainee:
    """A components.tuner.search.Trainee: train() is one trial."""

    def __init__(
        self,
        training: TrainingSettings,
        model: ModelSettings,
        defaults: Defaults,
        splits: tuple[Source, Source],
        *,
        build: Callable[[ModelSettings, str], Network],
        placed: Callable[[], AbstractContextManager[Placement]],
        fit: Fit,
        report: Callable[[int], Reporter],
        checkpoint: Callable[[int], Checkpoint],
        gpus: Sequence[Gpu] = (),
    ) -> None:
        """Initializes it.

        Args:
          training, model: what trial_tables made of the tables.
          defaults: the architecture's.
          splits: the train and the validation split.
          build: makes the network from its table and Keras's name of its precision, with
            its starting weights.
          placed: a trial builds, trains and measures inside of it.
          fit: trains it.
          report: makes what takes the progress of the trial of a number.
          checkpoint: makes where the state of the trial of a number is kept.
          gpus: those that train.
        """
        self._training = training
        self._model = model
        self._defaults = defaults
        self._train_split, self._validation_split = splits
        self._build = build
        self._placed = placed
        self._gpus = gpus
        self._fit = fit
        self._report = report
        self._checkpoint = checkpoint

    def settings(self, values: Values) -> dict[str, float]:
        """All parameters of TUNABLE as a trial with some of them uses them."""
        resolved = self._resolved(values)
        return {name: getattr(resolved, name) for name in TUNABLE}

    def train(self, number: int, values: Values) -> Measured:
        """Trains with the values; see components.tuner.search.Trainee."""
        # Else the graphs of all trials stay in memory.
        keras.utils.clear_session()
        settings = self._resolved(values)
        checkpoint = self._checkpoint(number)
        with self._placed() as placement:
            network = self._build(with_values(self._model, values), settings.precision)
            try:
                history = self._fit(
                    network,
                    self._train_split,
                    self._validation_split,
                    settings,
                    report=self._report(number),
                    checkpoint=checkpoint,
                    placement=placement,
                )
            except DivergedError:
                checkpoint.remove()
                raise
            loss, accuracy = measure(network.model, self._validation_split, settings.batch_size)
        checkpoint.remove()
        return Measured(len(history.epochs), loss, accuracy, history.train_seconds)

    def _resolved(self, values: Values) -> ResolvedSettings:
        model = with_values(self._model, values)
        return resolve(self._training, model, self._defaults, self._gpus)


def measure(model: keras.Model, source: Source, batch_size: int) -> tuple[float, float]:
    """Mean cross-entropy over all clips, without penalties, and the share that is right.

    Not the validation loss that training watches: it contains the penalty that l2 weighs,
    and a search would choose the least l2 for being the least l2.
    """
    loss = right = clips = 0.0
    for inputs, labels in _batches(source.batches(batch_size)):
        # Of several replicas each takes the whole batch, and their answers follow each other.
        answers = model.predict_on_batch(inputs)[: len(labels)]
        probabilities = np.asarray(answers, np.float64)
        of_labels = probabilities[np.arange(len(labels)), labels]
        loss -= float(np.log(np.clip(of_labels, _MIN_PROBABILITY, 1.0)).sum())
        right += int((probabilities.argmax(axis=1) == labels).sum())
        clips += len(labels)
    return loss / clips, right / clips


def _batches(epoch: Any) -> Iterator[Any]:
    batches = (
        (epoch[index] for index in range(len(epoch)))
        if isinstance(epoch, keras.utils.PyDataset)
        else iter(epoch)
    )
    for inputs, labels in batches:
        yield inputs, np.asarray(labels)
