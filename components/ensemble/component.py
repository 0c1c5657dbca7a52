"""Selector: predictions of every network, and the candidate chosen on validation."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ExecutionParameter

from components.artifacts import Predictions
from components.code_digest import code_digest
from components.models.registry import NETWORKS
from components.selector.executor import Executor


class SelectorSpec(types.ComponentSpec):  # type: ignore[misc]
    """One optional pair of inputs for each network of the registry: a union of channels
    would lose their names and order."""

    PARAMETERS = {
        "genres": ExecutionParameter(type=str),
        "code_digest": ExecutionParameter(type=str),
    }
    INPUTS = {
        "examples": ChannelParameter(type=standard_artifacts.Examples),
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
        "predictions": ChannelParameter(type=Predictions),
    }


class Selector(base_component.BaseComponent):  # type: ignore[misc]
    """Outputs `model` (the candidate) and `predictions` (of all, on validation and test)."""

    SPEC_CLASS = SelectorSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        *,
        examples: types.BaseChannel,
        models: Mapping[str, types.BaseChannel],
        runs: Mapping[str, types.BaseChannel],
        genres: Sequence[str],
    ) -> None:
        """Initializes the component.

        Args:
          examples: SpectrogramGen's.
          models: for each network name its Trainer's `model`.
          runs: for each network name its Trainer's `model_run` (with history.json).
          genres: in label order.
        """
        super().__init__(
            spec=SelectorSpec(
                genres=json.dumps(list(genres)),
                code_digest=code_digest("selector", "predictions", "examples"),
                examples=examples,
                model=types.Channel(type=standard_artifacts.Model),
                predictions=types.Channel(type=Predictions),
                **{f"model_{name}": channel for name, channel in models.items()},
                **{f"run_{name}": channel for name, channel in runs.items()},
            )
        )
