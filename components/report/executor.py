"""Executor of Report: reads the run's artifacts, writes the page and its plots."""

from __future__ import annotations

import os

from tfx.utils import path_utils

from components.artifacts import files as artifact_files
from components.artifacts.base_executor import Artifacts, ComponentExecutor, Parameters
from components.artifacts.names import REPORT_HTML, REPORT_PLOTS_FOLDER
from components.audio.params import AudioParams
from components.report import sources, stored_clips
from components.report.build import build


class Executor(ComponentExecutor):
    """Executor that writes `index.html` and `plots/*.png`."""

    def execute(self, inputs: Artifacts, outputs: Artifacts, parameters: Parameters) -> None:
        params = parameters.parse("audio", AudioParams)
        read = sources.read(
            genres=tuple(parameters.json("genres")),
            data=parameters.json("data"),
            predictions=inputs.uri("predictions"),
            runs=inputs.uris("run_"),
            baselines=inputs.uri("baselines") if inputs.optional("baselines") else None,
            rejects=inputs.uri("rejects"),
            data_check=inputs.uri("data_check"),
            blessing=inputs.uri("blessing"),
            saved_model=path_utils.serving_model_dir(inputs.uri("model")),
        )
        report = build(
            read,
            stored_clips.survey(inputs.uri("examples")),
            lambda wanted: stored_clips.read_mels(wanted, params),
            params,
        )
        folder = outputs.uri("report")
        for name, png in report.plots.items():
            artifact_files.write_bytes(os.path.join(folder, REPORT_PLOTS_FOLDER, name), png)
        artifact_files.write_text(os.path.join(folder, REPORT_HTML), report.html)
