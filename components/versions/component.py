"""Pusher, which adds a blessed candidate to the versions that servers watch."""

from __future__ import annotations

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ExecutionParameter

from components.artifacts.types import DataCheckResult, Predictions
from components.versions.executor import Executor


class PusherSpec(types.ComponentSpec):  # type: ignore[misc]
    """Specification of Pusher."""

    PARAMETERS = {
        "models": ExecutionParameter(type=str),
        "keep_versions": ExecutionParameter(type=int),
    }
    INPUTS = {
        "model": ChannelParameter(type=standard_artifacts.Model),
        "model_blessing": ChannelParameter(type=standard_artifacts.ModelBlessing),
        "infra_blessing": ChannelParameter(type=standard_artifacts.InfraBlessing, optional=True),
        "predictions": ChannelParameter(type=Predictions),
        "data_check": ChannelParameter(type=DataCheckResult),
    }
    OUTPUTS = {"pushed_model": ChannelParameter(type=standard_artifacts.PushedModel)}


class Pusher(base_component.BaseComponent):  # type: ignore[misc]
    """Component with the output `pushed_model`, whose properties are those of TFX's Pusher.

    TFX's own names versions by the second, and skips the push where the second is taken. This one
    takes a number above all others, stores a record with the version, and deletes old versions.
    It is never taken from the cache (pipeline.graph.build.compile_ir).
    """

    SPEC_CLASS = PusherSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        *,
        model: types.BaseChannel,
        model_blessing: types.BaseChannel,
        infra_blessing: types.BaseChannel | None,
        predictions: types.BaseChannel,
        data_check: types.BaseChannel,
        models: str,
        keep_versions: int,
    ) -> None:
        """Initialize the component.

        Args:
          model: the Ensembler's candidate.
          model_blessing: GenreGate's.
          infra_blessing: ServingCheck's; None if it is off.
          predictions: the Ensembler's, of which the record holds the test metrics.
          data_check: DataCheck's, with the statistics of the training songs.
          models: the folder of the model's versions; a path or an s3:// URI.
          keep_versions: number of versions to keep; 0 keeps all.
        """
        super().__init__(
            spec=PusherSpec(
                models=models,
                keep_versions=keep_versions,
                model=model,
                model_blessing=model_blessing,
                infra_blessing=infra_blessing,
                predictions=predictions,
                data_check=data_check,
                pushed_model=types.Channel(type=standard_artifacts.PushedModel),
            )
        )
