"""GenreGate, the only component that blesses a model."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ExecutionParameter

from components.artifacts.code_digest import code_digest
from components.artifacts.types import BaselineModels, Predictions
from components.audio.decoding.limits import DecodeLimits
from components.gate.executor import SERVING_UNKNOWN, Executor
from components.gate.settings import GateSettings


class GenreGateSpec(types.ComponentSpec):  # type: ignore[misc]
    """Specification of GenreGate."""

    PARAMETERS = {
        "gate": ExecutionParameter(type=str),
        "genres": ExecutionParameter(type=str),
        "store": ExecutionParameter(type=str),
        "decode_limits": ExecutionParameter(type=str),
        "code_digest": ExecutionParameter(type=str),
        "serving": ExecutionParameter(type=str, optional=True),
    }
    INPUTS = {
        "model": ChannelParameter(type=standard_artifacts.Model),
        "predictions": ChannelParameter(type=Predictions),
        "evaluation": ChannelParameter(type=standard_artifacts.ModelEvaluation),
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "baselines": ChannelParameter(type=BaselineModels, optional=True),
        "serving_model": ChannelParameter(type=standard_artifacts.PushedModel, optional=True),
    }
    OUTPUTS = {"blessing": ChannelParameter(type=standard_artifacts.ModelBlessing)}


class GenreGate(base_component.BaseComponent):  # type: ignore[misc]
    """Component with the output `blessing`, without which the Pusher pushes nothing."""

    SPEC_CLASS = GenreGateSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        *,
        model: types.BaseChannel,
        predictions: types.BaseChannel,
        evaluation: types.BaseChannel,
        examples: types.BaseChannel,
        serving_model: types.BaseChannel | None,
        settings: GateSettings,
        genres: Sequence[str],
        store: str,
        decode_limits: DecodeLimits | None,
        baselines: types.BaseChannel | None = None,
    ) -> None:
        """Initialize the component.

        Args:
          model: the Ensembler's candidate.
          predictions: the Ensembler's.
          evaluation: the Evaluator's, so that the gate runs after it.
          examples: SpectrogramGen's.
          serving_model: the last pushed model, as ServingModelStrategy resolves it; None if the
            pipeline cannot look it up.
          settings: the [gate] table.
          genres: in label order.
          store: folder of the clip store, beside which test songs are kept as a serving model with
            other audio parameters hears them; "" for none.
          decode_limits: limits of decoding these songs; None decodes in the executor's process.
          baselines: BaselineTrainer's models; None without baselines.
        """
        # Left out where the model can be looked up: another parameter changes the cache key.
        unknown = {"serving": SERVING_UNKNOWN} if serving_model is None else {}
        super().__init__(
            spec=GenreGateSpec(
                gate=json.dumps(dataclasses.asdict(settings), sort_keys=True),
                genres=json.dumps(list(genres)),
                store=store,
                decode_limits=json.dumps(decode_limits and dataclasses.asdict(decode_limits)),
                code_digest=code_digest(Executor.__module__),
                model=model,
                predictions=predictions,
                evaluation=evaluation,
                examples=examples,
                baselines=baselines,
                serving_model=serving_model,
                blessing=types.Channel(type=standard_artifacts.ModelBlessing),
                **unknown,
            )
        )
