"""BaselineTrainer: trains classical models on principal components, for networks to beat."""

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
from components.audio.params import AudioParams
from components.baselines.executor import Executor
from components.baselines.settings import BaselineSettings


class BaselineTrainerSpec(types.ComponentSpec):  # type: ignore[misc]
    """Interface of BaselineTrainer. `settings`, `audio` and `genres` are JSON texts."""

    PARAMETERS = {
        name: ExecutionParameter(type=str)
        for name in ("settings", "audio", "genres", "audio_hash", "code_digest")
    }
    INPUTS = {"examples": ChannelParameter(type=standard_artifacts.Examples)}
    OUTPUTS = {
        "baselines": ChannelParameter(type=BaselineModels),
        "predictions": ChannelParameter(type=Predictions),
    }


class BaselineTrainer(base_component.BaseComponent):  # type: ignore[misc]
    """Training of the classical models.

    Outputs `baselines`, the models, and `predictions` of theirs on validation and test.
    """

    SPEC_CLASS = BaselineTrainerSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        *,
        examples: types.BaseChannel,
        settings: BaselineSettings,
        audio: AudioParams,
        genres: Sequence[str],
    ) -> None:
        """Initialize the component.

        Args:
          examples: SpectrogramGen's.
          settings: the [baselines] table; at least one model.
          audio: the parameters that the examples are made with.
          genres: in label order.

        Raises:
          ValueError: the settings name no model. Such a pipeline has no such node.
        """
        if not settings.models:
            raise ValueError("baselines.models is empty: a pipeline without baselines has no node")
        super().__init__(
            spec=BaselineTrainerSpec(
                settings=json.dumps(dataclasses.asdict(settings), sort_keys=True),
                audio=json.dumps(audio.to_json(), sort_keys=True),
                genres=json.dumps(list(genres)),
                audio_hash=audio.digest(),
                code_digest=code_digest(Executor.__module__),
                examples=examples,
                baselines=types.Channel(type=BaselineModels),
                predictions=types.Channel(type=Predictions),
            )
        )
