"""Ensembler, which predicts with every model, averages them and chooses the candidate."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ExecutionParameter

from components.artifacts.code_digest import code_digest
from components.artifacts.types import BaselineModels, Predictions
from components.ensemble.executor import Executor
from components.ensemble.settings import EnsembleSettings
from components.models.architectures import NETWORKS


class EnsemblerSpec(types.ComponentSpec):  # type: ignore[misc]
    """Specification of the Ensembler.

    It has an optional pair of inputs for each network of the registry, because a union of
    channels would lose their names and order.
    """

    PARAMETERS = {
        "genres": ExecutionParameter(type=str),
        "audio_hash": ExecutionParameter(type=str),
        "ensemble": ExecutionParameter(type=str),
        "synthetic": ExecutionParameter(type=int),
        "code_digest": ExecutionParameter(type=str),
    }
    INPUTS = {
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "baselines": ChannelParameter(type=BaselineModels, optional=True),
        "baseline_predictions": ChannelParameter(type=Predictions, optional=True),
        **{
            f"model_{name}": ChannelParameter(type=standard_artifacts.Model, optional=True)
            for name in NETWORKS
        },
        **{
            f"run_{name}": ChannelParameter(type=standard_artifacts.ModelRun, optional=True)
            for name in NETWORKS
        },
    }
    OUTPUTS = {
        "model": ChannelParameter(type=standard_artifacts.Model),
        "average": ChannelParameter(type=standard_artifacts.Model),
        "predictions": ChannelParameter(type=Predictions),
    }


class Ensembler(base_component.BaseComponent):  # type: ignore[misc]
    """Component with the outputs `model`, `average` and `predictions`.

    `model` is the candidate: the best on validation of the networks and their average.
    `average` is the average of the networks; it is empty if there is only one network.
    `predictions` holds the predictions of all models on validation and test, and
    `selection.json`.
    """

    SPEC_CLASS = EnsemblerSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        *,
        examples: types.BaseChannel,
        models: Mapping[str, types.BaseChannel],
        runs: Mapping[str, types.BaseChannel],
        baselines: types.BaseChannel | None,
        baseline_predictions: types.BaseChannel | None,
        settings: EnsembleSettings,
        genres: Sequence[str],
        audio_hash: str,
        synthetic: bool,
    ) -> None:
        """Initialize the component.

        Args:
          examples: SpectrogramGen's.
          models: each Trainer's `model` by network name.
          runs: each Trainer's `model_run` (with history.json) by network name.
          baselines, baseline_predictions: BaselineTrainer's outputs; None without baselines.
          settings: the [ensemble] table.
          genres: in label order.
          audio_hash: hash of the audio parameters that all inputs were made with.
          synthetic: whether a program made the audio; recorded in the average's card.
        """
        given = {"baselines": baselines, "baseline_predictions": baseline_predictions}
        super().__init__(
            spec=EnsemblerSpec(
                genres=json.dumps(list(genres)),
                audio_hash=audio_hash,
                ensemble=json.dumps(dataclasses.asdict(settings), sort_keys=True),
                synthetic=int(synthetic),
                code_digest=code_digest(Executor.__module__),
                examples=examples,
                model=types.Channel(type=standard_artifacts.Model),
                average=types.Channel(type=standard_artifacts.Model),
                predictions=types.Channel(type=Predictions),
                **{key: channel for key, channel in given.items() if channel is not None},
                **{f"model_{name}": channel for name, channel in models.items()},
                **{f"run_{name}": channel for name, channel in runs.items()},
            )
        )
