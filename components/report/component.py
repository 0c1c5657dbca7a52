"""Report: one page that shows a run's data, its models and the gate's decision."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ExecutionParameter

from components.artifacts import types as artifacts
from components.artifacts.code_digest import code_digest
from components.audio.params import AudioParams
from components.models.architectures import NETWORKS
from components.report.executor import Executor
from components.report.page import templates_digest

_TEXTS = ("genres", "audio", "data", "code_digest", "templates_digest")


class ReportSpec(types.ComponentSpec):  # type: ignore[misc]
    """Specification of the component.

    Parameters other than the digests are JSON texts. Each network of the registry has an
    optional input `run_<network>`.
    """

    PARAMETERS = {name: ExecutionParameter(type=str) for name in _TEXTS}
    INPUTS = {
        "predictions": ChannelParameter(type=artifacts.Predictions),
        "rejects": ChannelParameter(type=artifacts.Rejects),
        "data_check": ChannelParameter(type=artifacts.DataCheckResult),
        "blessing": ChannelParameter(type=standard_artifacts.ModelBlessing),
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "model": ChannelParameter(type=standard_artifacts.Model),
        "baselines": ChannelParameter(type=artifacts.BaselineModels, optional=True),
        **{
            f"run_{name}": ChannelParameter(type=standard_artifacts.ModelRun, optional=True)
            for name in NETWORKS
        },
    }
    OUTPUTS = {"report": ChannelParameter(type=artifacts.Report)}


class Report(base_component.BaseComponent):  # type: ignore[misc]
    """Component with the output `report`: a self-contained `index.html`, and `plots/*.png`."""

    SPEC_CLASS = ReportSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        *,
        predictions: types.BaseChannel,
        runs: Mapping[str, types.BaseChannel],
        rejects: types.BaseChannel,
        data_check: types.BaseChannel,
        blessing: types.BaseChannel,
        examples: types.BaseChannel,
        model: types.BaseChannel,
        genres: Sequence[str],
        audio: AudioParams,
        data: Mapping[str, Any],
        baselines: types.BaseChannel | None = None,
    ) -> None:
        """Initialize the component.

        Args:
          predictions: output of the Ensembler, with selection.json.
          runs: for each network its Trainer's `model_run`, with history.json.
          rejects: output of SpectrogramGen.
          data_check: output of DataCheck, with check.json.
          blessing: output of GenreGate, with decision.json.
          examples: output of SpectrogramGen.
          model: the candidate.
          genres: in label order.
          audio: audio parameters of the examples.
          data: {"dataset": {"kind", ...}, "split": {"policy", ...}}: the settings that decide
            what was learned from.
          baselines: output of BaselineTrainer; None without baselines.
        """
        super().__init__(
            spec=ReportSpec(
                genres=json.dumps(list(genres)),
                audio=json.dumps(audio.to_json(), sort_keys=True),
                data=json.dumps(data, sort_keys=True),
                code_digest=code_digest(Executor.__module__),
                templates_digest=templates_digest(),
                predictions=predictions,
                rejects=rejects,
                data_check=data_check,
                blessing=blessing,
                examples=examples,
                model=model,
                report=types.Channel(type=artifacts.Report),
                **({"baselines": baselines} if baselines is not None else {}),
                **{f"run_{name}": channel for name, channel in runs.items()},
            )
        )
