"""Tuner: searches for a network's learning rate, batch size, dropout and L2."""

from __future__ import annotations

import json

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ExecutionParameter

from components.artifacts.code_digest import code_digest
from components.artifacts.types import TuningResults
from components.models import architectures
from components.trainer.task import TrainingTask
from components.tuner.executor import Executor
from components.tuner.settings import TuningSettings
from components.tuner.task import TuningTask


class TunerSpec(types.ComponentSpec):  # type: ignore[misc]
    """Interface of Tuner. `task` is a TuningTask as JSON text."""

    PARAMETERS = {"task": ExecutionParameter(type=str)}
    INPUTS = {"examples": ChannelParameter(type=standard_artifacts.Examples)}
    OUTPUTS = {
        "hyperparameters": ChannelParameter(type=standard_artifacts.HyperParameters),
        "results": ChannelParameter(type=TuningResults),
    }


class Tuner(base_component.BaseComponent):  # type: ignore[misc]
    """Search for one network's settings, with the Trainer's own training.

    Outputs `hyperparameters`, which TFX's Trainer takes as they are, and `results`.

    The algorithms are KerasTuner's. The loop is neither KerasTuner's nor that of TFX's own
    Tuner: those keep their state where a rerun does not find it, hide an error of the data as a
    failed trial, return the values of a failed trial if all failed, and record neither failures
    nor seconds.
    """

    SPEC_CLASS = TunerSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self, *, examples: types.BaseChannel, training: TrainingTask, tuning: TuningSettings
    ) -> None:
        """Initialize the component.

        Args:
          examples: SpectrogramGen's; its train and validation splits are read.
          training: the training that uses the values that are found.
          tuning: the [tuning] table. The networks that it names are not part of the node.
        """
        digest = code_digest(Executor.__module__, architectures.code_of(training.architecture))
        task = TuningTask.of(training, tuning, code_digest=digest)
        super().__init__(
            spec=TunerSpec(
                task=json.dumps(task.to_json(), sort_keys=True),
                examples=examples,
                hyperparameters=types.Channel(type=standard_artifacts.HyperParameters),
                results=types.Channel(type=TuningResults),
            )
        )
