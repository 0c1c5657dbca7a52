"""Report's work: read what the parts of a run wrote, and write the page and its plots."""

from __future__ import annotations

import json
import os
from typing import Any

from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.types import artifact_utils
from tfx.utils import path_utils

from components.artifacts import files as artifact_files
from components.artifacts.base_executor import empty_outputs
from components.artifacts.names import REPORT_HTML, REPORT_PLOTS_FOLDER
from components.audio.params import AudioParams
from components.report import sources, stored_clips
from components.report.build import build


class Executor(BaseExecutor):  # type: ignore[misc]
    """Writes `index.html` and `plots/*.png`."""

    def Do(  # noqa: N802  TFX's name
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        self._log_startup(input_dict, output_dict, exec_properties)
        empty_outputs(output_dict)

        def uri(key: str) -> str:
            return str(artifact_utils.get_single_instance(input_dict[key]).uri)

        params = AudioParams.from_json(json.loads(exec_properties["audio"]))
        read = sources.read(
            genres=tuple(json.loads(exec_properties["genres"])),
            data=json.loads(exec_properties["data"]),
            predictions=uri("predictions"),
            runs={
                key.removeprefix("run_"): uri(key)
                for key, artifacts in input_dict.items()
                if key.startswith("run_") and artifacts
            },
            baselines=uri("baselines") if input_dict.get("baselines") else None,
            rejects=uri("rejects"),
            blessing=uri("blessing"),
            saved_model=path_utils.serving_model_dir(uri("model")),
        )
        report = build(
            read,
            stored_clips.survey(uri("examples")),
            lambda wanted: stored_clips.read_mels(wanted, params),
            params,
        )
        folder = artifact_utils.get_single_instance(output_dict["report"]).uri
        for name, png in report.plots.items():
            artifact_files.write_bytes(os.path.join(folder, REPORT_PLOTS_FOLDER, name), png)
        artifact_files.write_text(os.path.join(folder, REPORT_HTML), report.html)
