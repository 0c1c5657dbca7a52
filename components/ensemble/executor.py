"""Ensembler's work: predict validation and test with every network, average, choose."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.types import artifact_utils
from tfx.utils import io_utils, path_utils

from components.artifacts import files as artifact_files
from components.artifacts.base_executor import empty_outputs
from components.artifacts.names import BASELINES_JSON, HISTORY_JSON, SELECTION_JSON
from components.common import progress
from components.common.errors import DataError
from components.ensemble.export import export_average
from components.ensemble.members import NETWORKS, choose
from components.ensemble.rows import Ensembles, make_ensembles
from components.ensemble.settings import EnsembleSettings
from components.gate.model_digest import read_model_digest
from components.predictions import metrics, table
from components.predictions.predict import predict_split

SPLITS = ("validation", "test")


class Executor(BaseExecutor):  # type: ignore[misc]
    """Writes the predictions of all models with `selection.json`, the average of the
    networks as a SavedModel, and a copy of the candidate."""

    def Do(  # noqa: N802  TFX's name
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        self._log_startup(input_dict, output_dict, exec_properties)
        empty_outputs(output_dict)
        genres = json.loads(exec_properties["genres"])
        audio_hash = exec_properties["audio_hash"]
        settings = EnsembleSettings(**json.loads(exec_properties["ensemble"]))
        examples = artifact_utils.get_single_instance(input_dict["examples"])
        saved_models = {
            key.removeprefix("model_"): path_utils.serving_model_dir(
                artifact_utils.get_single_instance(value).uri
            )
            for key, value in sorted(input_dict.items())
            if key.startswith("model_") and value
        }
        histories = {
            name: artifact_files.read_json(_uri(input_dict, f"run_{name}"), HISTORY_JSON)
            for name in saved_models
        }
        networks = sorted(saved_models)
        baselines, baseline_rows = _baselines(input_dict, genres, audio_hash)
        single = pd.concat(
            [
                *_predictions(saved_models, examples.uri, genres),
                *([baseline_rows] if baseline_rows is not None else []),
            ],
            ignore_index=True,
        )
        ensembles = make_ensembles(single, genres, networks, sorted(baselines))
        everything = pd.concat([single, ensembles.rows], ignore_index=True)

        average = artifact_utils.get_single_instance(output_dict["average"])
        if NETWORKS in ensembles.members:
            saved_models[NETWORKS] = path_utils.serving_model_dir(average.uri)
            export_average(
                {name: saved_models[name] for name in networks},
                saved_models[NETWORKS],
                name=NETWORKS,
                genres=genres,
                model_card={"synthetic": bool(exec_properties["synthetic"])},
            )
        predictions = artifact_utils.get_single_instance(output_dict["predictions"])
        table.write_table(everything, predictions.uri)
        selection = _selection(everything, genres, histories, baselines, ensembles, settings)
        candidate = selection["candidate"]
        selection["candidate_digest"] = read_model_digest(saved_models[candidate])
        selection["audio_hash"] = audio_hash
        artifact_files.write_text(
            os.path.join(predictions.uri, SELECTION_JSON),
            json.dumps(selection, indent=2, sort_keys=True),
        )
        chosen = artifact_utils.get_single_instance(output_dict["model"])
        io_utils.copy_dir(saved_models[candidate], path_utils.serving_model_dir(chosen.uri))
        chosen.set_string_custom_property("architecture", candidate)


def _baselines(
    input_dict: dict[str, list[Any]], genres: Sequence[str], audio_hash: str
) -> tuple[dict[str, Any], pd.DataFrame | None]:
    """What baselines.json says of each baseline, and their predictions; nothing without them."""
    if not input_dict.get("baselines"):
        return {}, None
    found = artifact_files.read_json(_uri(input_dict, "baselines"), BASELINES_JSON)
    if found["genres"] != list(genres) or found["audio_hash"] != audio_hash:
        raise DataError("the baselines were trained for other genres or audio parameters")
    return found["models"], table.read_table(_uri(input_dict, "baseline_predictions"))


def _predictions(
    saved_models: Mapping[str, str], examples_uri: str, genres: Sequence[str]
) -> list[pd.DataFrame]:
    tables = []
    for name, saved_model in saved_models.items():
        if artifact_files.read_json(os.path.join(saved_model, "assets"), "genres.json") != list(
            genres
        ):
            raise DataError(f"model {name} was trained for other genres than {list(genres)}")
        for split in SPLITS:
            clips, probabilities = predict_split(
                saved_model,
                examples_uri,
                split,
                lambda add, label=f"{name} on {split}": progress.report(  # type: ignore[misc]
                    "progress", stage="predict", detail=label, add=add
                ),
            )
            tables.append(table.make_table(name, split, clips, probabilities, genres))
    return tables


def _selection(
    rows: pd.DataFrame,
    genres: Sequence[str],
    histories: Mapping[str, Any],
    baselines: Mapping[str, Any],
    ensembles: Ensembles,
    settings: EnsembleSettings,
) -> dict[str, Any]:
    """What the later nodes need to know of the models; chosen on validation alone."""
    networks = sorted(histories)
    accuracy = {
        str(name): metrics.evaluate(found, genres, resamples=1).track_accuracy.value
        for name, found in rows[rows["split"] == "validation"].groupby("model")
    }
    kinds = {
        **dict.fromkeys(networks, "network"),
        **dict.fromkeys(sorted(baselines), "baseline"),
        **dict.fromkeys(ensembles.members, "ensemble"),
    }
    parameters: dict[str, int | None] = dict.fromkeys(kinds)
    parameters |= {name: int(histories[name]["parameters"]) for name in networks}
    eligible = list(networks)
    if NETWORKS in ensembles.members:
        parameters[NETWORKS] = sum(int(histories[n]["parameters"]) for n in networks)
        if settings.candidate:
            eligible.append(NETWORKS)
    seconds: dict[str, float | None] = dict.fromkeys(kinds)
    seconds |= {name: histories[name]["train_seconds"] for name in networks}
    seconds |= {name: values["train_seconds"] for name, values in baselines.items()}
    return {
        "candidate": choose({name: accuracy[name] for name in eligible}, parameters),
        "best_baseline": choose({name: accuracy[name] for name in baselines}, parameters)
        if baselines
        else None,
        "kinds": kinds,
        "validation_track_accuracy": accuracy,
        "parameters": parameters,
        "train_seconds": seconds,
        "members": {name: list(members) for name, members in ensembles.members.items()},
        "weights": dict(ensembles.weights),
        "genres": list(genres),
    }


def _uri(input_dict: dict[str, list[Any]], key: str) -> str:
    return str(artifact_utils.get_single_instance(input_dict[key]).uri)
