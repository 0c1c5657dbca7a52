"""Trials of one network: each trains it with other values and evaluates it. Keras alone."""

from __future__ import annotations

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
from components.trainer.tuned import TUNABLE, Values, with_tuned_values
from components.tuner.trials import TrialScores

# Keras's own cross-entropy clips probabilities at this value.
_MIN_PROBABILITY = 1e-7


class Train(Protocol):
    """The function training.train with all arguments bound that trials share."""

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


class NetworkTrialRunner:
    """A components.tuner.search.TrialRunner for one network."""

    def __init__(
        self,
        training: TrainingSettings,
        model: ModelSettings,
        defaults: Defaults,
        splits: tuple[Source, Source],
        *,
        build: Callable[[ModelSettings, str], Network],
        placed: Callable[[], AbstractContextManager[Placement]],
        train: Train,
        reporter: Callable[[int], Reporter],
        checkpoint: Callable[[int], Checkpoint],
        gpus: Sequence[Gpu] = (),
    ) -> None:
        """Initialize the runner.

        Args:
          training, model: the tables that components.tuner.task.trial_settings returned.
          defaults: the architecture's.
          splits: the train and the validation split.
          build: builds the network with its starting weights, from its table and Keras's name
            of a precision.
          placed: opens the block in which a trial builds, trains and evaluates.
          train: trains the network.
          reporter: returns the receiver of a trial's progress, by the trial's number.
          checkpoint: returns a trial's checkpoint, by the trial's number.
          gpus: those that train.
        """
        self._training = training
        self._model = model
        self._defaults = defaults
        self._train_split, self._validation_split = splits
        self._build = build
        self._placed = placed
        self._gpus = gpus
        self._train = train
        self._reporter = reporter
        self._checkpoint = checkpoint

    def settings(self, values: Values) -> dict[str, float]:
        """Return all of TUNABLE as a trial with `values` uses them."""
        resolved = self._resolved(values)
        return {name: getattr(resolved, name) for name in TUNABLE}

    def run(self, number: int, values: Values) -> TrialScores:
        """Train with the values and evaluate; see components.tuner.search.TrialRunner."""
        # Otherwise the graphs of all trials stay in memory.
        keras.utils.clear_session()
        settings = self._resolved(values)
        checkpoint = self._checkpoint(number)
        with self._placed() as placement:
            network = self._build(with_tuned_values(self._model, values), settings.precision)
            try:
                history = self._train(
                    network,
                    self._train_split,
                    self._validation_split,
                    settings,
                    report=self._reporter(number),
                    checkpoint=checkpoint,
                    placement=placement,
                )
            except DivergedError:
                checkpoint.remove()
                raise
            loss, accuracy = evaluate(network.model, self._validation_split, settings.batch_size)
        checkpoint.remove()
        return TrialScores(len(history.epochs), loss, accuracy, history.train_seconds)

    def _resolved(self, values: Values) -> ResolvedSettings:
        model = with_tuned_values(self._model, values)
        return resolve(self._training, model, self._defaults, self._gpus)


def evaluate(model: keras.Model, source: Source, batch_size: int) -> tuple[float, float]:
    """Return the mean cross-entropy over all clips, without penalties, and the accuracy.

    The validation loss that training watches includes the penalty that l2 weighs. A search on
    it would choose the smallest l2 for its penalty alone.
    """
    loss = right = clips = 0.0
    for inputs, labels in _batches(source.batches(batch_size)):
        # Each of several replicas predicts the whole batch, and the results are concatenated.
        predicted = model.predict_on_batch(inputs)[: len(labels)]
        probabilities = np.asarray(predicted, np.float64)
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
