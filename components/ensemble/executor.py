"""Selector's work: predict validation and test with every network, choose on validation."""

from __future__ import annotations

import json
import os
from typing import Any

import pandas as pd
import tensorflow as tf
from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.types import artifact_utils
from tfx.utils import io_utils, path_utils

from components import progress
from components.errors import DataError
from components.fresh_output import empty_outputs
from components.predictions import metrics, table
from components.predictions.predict import predict_split
from components.selector.select import choose

SPLITS = ("validation", "test")


class Executor(BaseExecutor):  # type: ignore[misc]
    """Writes the predictions table, `selection.json`, and a copy of the candidate."""

    def Do(  # noqa: N802  TFX's name
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        self._log_startup(input_dict, output_dict, exec_properties)
        empty_outputs(output_dict)
        genres = json.loads(exec_properties["genres"])
        examples = artifact_utils.get_single_instance(input_dict["examples"])
        models = {
            key.removeprefix("model_"): artifact_utils.get_single_instance(value)
            for key, value in input_dict.items()
            if key.startswith("model_") and value
        }
        histories = {
            name: _read_json(
                artifact_utils.get_single_instance(input_dict[f"run_{name}"]).uri, "history.json"
            )
            for name in models
        }
        tables = []
        for name, model in sorted(models.items()):
            saved_model = path_utils.serving_model_dir(model.uri)
            if _read_json(os.path.join(saved_model, "assets"), "genres.json") != genres:
                raise DataError(f"model {name} was trained for other genres than {genres}")
            for split in SPLITS:
                clips, probabilities = predict_split(
                    saved_model,
                    examples.uri,
                    split,
                    lambda add, label=f"{name} on {split}": progress.report(  # type: ignore[misc]
                        "progress", stage="predict", detail=label, add=add
                    ),
                )
                tables.append(table.make_table(name, split, clips, probabilities, genres))
        everything = pd.concat(tables, ignore_index=True)
        accuracy = {
            name: metrics.evaluate(rows, genres, resamples=1).track_accuracy.value
            for name, rows in everything[everything["split"] == "validation"].groupby("model")
        }
        parameters = {name: int(histories[name]["parameters"]) for name in models}
        candidate = choose(accuracy, parameters)

        predictions = artifact_utils.get_single_instance(output_dict["predictions"])
        table.write_table(everything, predictions.uri)
        selection = {
            "candidate": candidate,
            "validation_track_accuracy": accuracy,
            "parameters": parameters,
        }
        with tf.io.gfile.GFile(os.path.join(predictions.uri, "selection.json"), "w") as out:
            json.dump(selection, out, indent=2, sort_keys=True)
        chosen = artifact_utils.get_single_instance(output_dict["model"])
        io_utils.copy_dir(
            path_utils.serving_model_dir(models[candidate].uri),
            path_utils.serving_model_dir(chosen.uri),
        )
        chosen.set_string_custom_property("architecture", candidate)


def _read_json(folder: str, name: str) -> Any:
    with tf.io.gfile.GFile(os.path.join(folder, name)) as file:
        return json.load(file)
