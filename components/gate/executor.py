"""GenreGate's work: apply the rules and write the one blessing that counts."""

from __future__ import annotations

import json
import os
from typing import Any

from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.types import artifact_utils
from tfx.utils import path_utils

from components import artifact_files
from components.fresh_output import empty_outputs
from components.gate import rules
from components.gate.model_digest import read_model_digest
from components.gate.settings import GateSettings
from components.predictions import metrics, table


class Executor(BaseExecutor):  # type: ignore[misc]
    """Writes the ModelBlessing and, into its folder, `decision.json`."""

    def Do(  # noqa: N802  TFX's name
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        self._log_startup(input_dict, output_dict, exec_properties)
        empty_outputs(output_dict)
        model = artifact_utils.get_single_instance(input_dict["model"])
        predictions = artifact_utils.get_single_instance(input_dict["predictions"])
        serving = next(iter(input_dict.get("serving_model") or []), None)
        blessing = artifact_utils.get_single_instance(output_dict["blessing"])
        settings = GateSettings(**json.loads(exec_properties["gate"]))
        genres = json.loads(exec_properties["genres"])

        rows = table.read_table(predictions.uri)
        candidate = model.get_string_custom_property("architecture")
        test = rows[(rows["model"] == candidate) & (rows["split"] == "test")]
        measured = metrics.evaluate(test, genres)
        decision = rules.Decision(
            (
                rules.absolute_floor(settings, measured.track_accuracy, len(genres)),
                rules.already_serving(
                    read_model_digest(path_utils.serving_model_dir(model.uri)),
                    read_model_digest(serving.uri) if serving else None,
                    serving.get_string_custom_property("pushed_version") if serving else "",
                ),
            )
        )
        blessing.set_int_custom_property("blessed", int(decision.blessed))
        blessing.set_int_custom_property("current_model_id", model.id)
        blessing.set_string_custom_property("current_model", model.uri)
        text = json.dumps({"candidate": candidate, **decision.to_json()}, indent=2)
        artifact_files.write_text(os.path.join(blessing.uri, "decision.json"), text)
        marker = "BLESSED" if decision.blessed else "NOT_BLESSED"
        artifact_files.write_text(os.path.join(blessing.uri, marker), "")
