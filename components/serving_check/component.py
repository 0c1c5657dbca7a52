"""ServingCheck, which tests the candidate on a server before it may be pushed."""

from __future__ import annotations

import dataclasses
import json

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ExecutionParameter

from components.artifacts.types import Predictions
from components.serving_check.executor import Executor
from components.serving_check.settings import ServingSettings


class ServingCheckSpec(types.ComponentSpec):  # type: ignore[misc]
    """Specification of ServingCheck."""

    PARAMETERS = {
        "serving": ExecutionParameter(type=str),
    }
    INPUTS = {
        "model": ChannelParameter(type=standard_artifacts.Model),
        "blessing": ChannelParameter(type=standard_artifacts.ModelBlessing),
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "predictions": ChannelParameter(type=Predictions),
    }
    OUTPUTS = {"infra_blessing": ChannelParameter(type=standard_artifacts.InfraBlessing)}


class ServingCheck(base_component.BaseComponent):  # type: ignore[misc]
    """Component with the output `infra_blessing`; the Pusher needs it and the gate's blessing.

    It is never taken from the cache (pipeline.graph.build.compile_ir), because it depends on this
    machine's server too.
    """

    SPEC_CLASS = ServingCheckSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        *,
        model: types.BaseChannel,
        blessing: types.BaseChannel,
        examples: types.BaseChannel,
        predictions: types.BaseChannel,
        settings: ServingSettings,
    ) -> None:
        """Initialize the component.

        Args:
          model: the Ensembler's candidate.
          blessing: GenreGate's; a candidate that it refused is not served.
          examples: SpectrogramGen's.
          predictions: the Ensembler's.
          settings: the [serving] table.
        """
        super().__init__(
            spec=ServingCheckSpec(
                serving=json.dumps(dataclasses.asdict(settings), sort_keys=True),
                model=model,
                blessing=blessing,
                examples=examples,
                predictions=predictions,
                infra_blessing=types.Channel(type=standard_artifacts.InfraBlessing),
            )
        )
