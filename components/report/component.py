"""Report: one page that shows what a run did and why the gate decided as it did."""

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
    """JSON texts but for the digests; one optional `run_<network>` for each of the registry."""

    PARAMETERS = {name: ExecutionParameter(type=str) for name in _TEXTS}
    INPUTS = {
        "predictions": ChannelParameter(type=artifacts.Predictions),
        "rejects": ChannelParameter(type=artifacts.Rejects),
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
    """Outputs `report`: `index.html`, which needs nothing else, and `plots/*.png`."""

    SPEC_CLASS = ReportSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        *,
        predictions: types.BaseChannel,
        runs: Mapping[str, types.BaseChannel],
        rejects: types.BaseChannel,
        blessing: types.BaseChannel,
        examples: types.BaseChannel,
        model: types.BaseChannel,
        genres: Sequence[str],
        audio: AudioParams,
        data: Mapping[str, Any],
        baselines: types.BaseChannel | None = None,
    ) -> None:
        """Initializes the component.

        Args:
          predictions: the Ensembler's, with selection.json.
          runs: for each network name its Trainer's `model_run` (with history.json).
          rejects: SpectrogramGen's.
          blessing: GenreGate's, with decision.json.
          examples: SpectrogramGen's.
          model: the candidate.
          genres: in label order.
          audio: the parameters that the examples are made with.
          data: {"dataset": {"kind", ...}, "split": {"policy", ...}}: the settings that decided
            what was learned from.
          baselines: BaselineTrainer's, or None without baselines.
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
                blessing=blessing,
                examples=examples,
                model=model,
                report=types.Channel(type=artifacts.Report),
                **({"baselines": baselines} if baselines is not None else {}),
                **{f"run_{name}": channel for name, channel in runs.items()},
            )
        )
