"""A search for one network, as a node of the graph hands it to its worker. Light."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from components.common.dataclass_json import from_json
from components.models.settings import ModelSettings
from components.trainer.settings import TrainingSettings
from components.trainer.task import TrainingTask
from components.tuner.settings import TuningSettings


@dataclasses.dataclass(frozen=True)
class TuningTask:
    """Settings of one network's search, and what its data must agree with.

    Attributes:
      training: one trial's training, without the values that the search draws.
      tuning: the [tuning] table, without the names of the networks.
    """

    training: TrainingTask
    tuning: TuningSettings

    @classmethod
    def of(cls, training: TrainingTask, tuning: TuningSettings, *, code_digest: str) -> TuningTask:
        """Return the search for a network that will be trained as `training` says."""
        shared, own = trial_settings(training.training, training.model, tuning)
        trial = dataclasses.replace(
            training,
            training=shared,
            model=own,
            code_digest=code_digest,
            # Both are for a model card, and a trial has none.
            synthetic=False,
            data={},
        )
        return cls(trial, dataclasses.replace(tuning, networks=()))

    def to_json(self) -> dict[str, Any]:
        """Return the task as JSON values."""
        return {"training": self.training.to_json(), "tuning": dataclasses.asdict(self.tuning)}

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> TuningTask:
        """Return the task of which to_json made `values`.

        Raises:
          ValueError: see TrainingTask.parse.
        """
        return cls(
            training=TrainingTask.parse(values["training"]),
            tuning=from_json(TuningSettings, values["tuning"]),
        )


def trial_settings(
    training: TrainingSettings, model: ModelSettings, tuning: TuningSettings
) -> tuple[TrainingSettings, ModelSettings]:
    """Return [training] and a network's table as a trial uses them.

    A trial has the epochs and clips of [tuning], and no second phase.
    """
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
