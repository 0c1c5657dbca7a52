"""DataCheck, which refuses invalid examples before training, and looks for drift."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ExecutionParameter

from components.artifacts.code_digest import code_digest
from components.artifacts.types import DataCheckResult
from components.audio.params import AudioParams
from components.data_check.executor import Executor
from components.data_check.settings import DataCheckSettings


class DataCheckSpec(types.ComponentSpec):  # type: ignore[misc]
    """Specification of DataCheck."""

    PARAMETERS = {
        "audio": ExecutionParameter(type=str),
        "genres": ExecutionParameter(type=str),
        "leaky": ExecutionParameter(type=int),
        "artists_apart": ExecutionParameter(type=int),
        "settings": ExecutionParameter(type=str),
        "resolves_serving": ExecutionParameter(type=int),
        "code_digest": ExecutionParameter(type=str),
    }
    INPUTS = {
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "anomalies": ChannelParameter(type=standard_artifacts.ExampleAnomalies),
        "serving_model": ChannelParameter(type=standard_artifacts.PushedModel, optional=True),
    }
    OUTPUTS = {"result": ChannelParameter(type=DataCheckResult)}


class DataCheck(base_component.BaseComponent):  # type: ignore[misc]
    """Component that fails unless the examples are valid; trainers run after it."""

    SPEC_CLASS = DataCheckSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        *,
        examples: types.BaseChannel,
        anomalies: types.BaseChannel,
        audio: AudioParams,
        genres: Sequence[str],
        leaky: bool,
        artists_apart: bool,
        settings: DataCheckSettings,
        serving_model: types.BaseChannel | None,
    ) -> None:
        """Initialize the component.

        Args:
          examples: SpectrogramGen's examples.
          anomalies: ExampleValidator's anomalies.
          audio: the audio parameters.
          genres: the genres in label order.
          leaky: whether clips of a track may be in several splits (by_clip).
          artists_apart: whether no artist may be in several splits (by_artist).
          settings: the [data_check] table.
          serving_model: the pushed model that serves, with whose songs these are compared; None
            if the pipeline cannot look it up.
        """
        super().__init__(
            spec=DataCheckSpec(
                audio=json.dumps(audio.to_json(), sort_keys=True),
                genres=json.dumps(list(genres)),
                leaky=int(leaky),
                artists_apart=int(artists_apart),
                settings=json.dumps(dataclasses.asdict(settings), sort_keys=True),
                resolves_serving=int(serving_model is not None),
                code_digest=code_digest(Executor.__module__),
                examples=examples,
                anomalies=anomalies,
                serving_model=serving_model,
                result=types.Channel(type=DataCheckResult),
            )
        )
