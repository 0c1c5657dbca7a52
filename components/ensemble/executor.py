"""Executor of the Ensembler: predict with every network, average, choose the candidate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from tfx.utils import io_utils, path_utils

from components.artifacts import files as artifact_files
from components.artifacts.base_executor import Artifacts, ComponentExecutor, Parameters
from components.artifacts.names import BASELINES_JSON, HISTORY_JSON
from components.common import progress
from components.common.errors import DataError
from components.ensemble.export import export_average
from components.ensemble.members import NETWORKS, choose
from components.ensemble.rows import Ensembles, make_ensembles
from components.ensemble.settings import EnsembleSettings
from components.export.assets import read_identity, read_model_digest
from components.predictions import metrics, table
from components.predictions.predict import predict_split
from components.predictions.selection import ModelKind, Selection, write_selection


class Executor(ComponentExecutor):
    """Executor that writes the predictions, the average of the networks, and the candidate.

    The predictions of all models come with `selection.json`. The average is a SavedModel, and
    the candidate is a copy of the chosen SavedModel.
    """

    def execute(self, inputs: Artifacts, outputs: Artifacts, parameters: Parameters) -> None:
        genres = parameters.json("genres")
        audio_hash = parameters["audio_hash"]
        settings = parameters.parse("ensemble", EnsembleSettings)
        examples_uri = inputs.uri("examples")
        saved_models = {
            name: path_utils.serving_model_dir(uri) for name, uri in inputs.uris("model_").items()
        }
        histories = {
            name: artifact_files.read_json(inputs.uri(f"run_{name}"), HISTORY_JSON)
            for name in saved_models
        }
        networks = sorted(saved_models)
        baselines, baseline_rows = _baselines(inputs, genres, audio_hash)
        single = pd.concat(
            [
                *_predictions(saved_models, examples_uri, genres),
                *([baseline_rows] if baseline_rows is not None else []),
            ],
            ignore_index=True,
        )
        ensembles = make_ensembles(single, genres, networks, sorted(baselines))
        everything = pd.concat([single, ensembles.rows], ignore_index=True)

        if NETWORKS in ensembles.members:
            saved_models[NETWORKS] = path_utils.serving_model_dir(outputs.uri("average"))
            export_average(
                {name: saved_models[name] for name in networks},
                saved_models[NETWORKS],
                name=NETWORKS,
                genres=genres,
                model_card={"synthetic": bool(parameters["synthetic"])},
            )
        predictions_uri = outputs.uri("predictions")
        table.write_table(everything, predictions_uri)
        selection = _select(
            everything, genres, audio_hash, histories, baselines, ensembles, settings, saved_models
        )
        write_selection(selection, predictions_uri)
        candidate = selection.candidate
        chosen = outputs.single("model")
        io_utils.copy_dir(saved_models[candidate], path_utils.serving_model_dir(chosen.uri))
        chosen.set_string_custom_property("architecture", candidate)


def _baselines(
    inputs: Artifacts, genres: Sequence[str], audio_hash: str
) -> tuple[dict[str, Any], pd.DataFrame | None]:
    """Return each baseline's record in baselines.json, and the baselines' predictions."""
    if inputs.optional("baselines") is None:
        return {}, None
    found = artifact_files.read_json(inputs.uri("baselines"), BASELINES_JSON)
    if found["genres"] != list(genres) or found["audio_hash"] != audio_hash:
        raise DataError(
            "the baselines were trained for other genres or audio parameters; rerun the pipeline"
        )
    return found["models"], table.read_table(inputs.uri("baseline_predictions"))


def _predictions(
    saved_models: Mapping[str, str], examples_uri: str, genres: Sequence[str]
) -> list[pd.DataFrame]:
    tables = []
    for name, saved_model in saved_models.items():
        if read_identity(saved_model).genres != tuple(genres):
            raise DataError(
                f"model {name} was trained for other genres than {list(genres)}; rerun the pipeline"
            )
        for split in table.PREDICTED_SPLITS:
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


def _select(
    rows: pd.DataFrame,
    genres: Sequence[str],
    audio_hash: str,
    histories: Mapping[str, Any],
    baselines: Mapping[str, Any],
    ensembles: Ensembles,
    settings: EnsembleSettings,
    saved_models: Mapping[str, str],
) -> Selection:
    """Choose the candidate and the best baseline, on the validation split alone."""
    networks = sorted(histories)
    accuracy = {
        str(name): metrics.evaluate(found, genres, resamples=1).track_accuracy.value
        for name, found in rows[rows["split"] == table.VALIDATION].groupby("model")
    }
    kinds: dict[str, ModelKind] = {
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
    candidate = choose({name: accuracy[name] for name in eligible}, parameters)
    best_baseline = (
        choose({name: accuracy[name] for name in baselines}, parameters) if baselines else None
    )
    return Selection(
        candidate=candidate,
        candidate_digest=read_model_digest(saved_models[candidate]),
        best_baseline=best_baseline,
        kinds=kinds,
        validation_track_accuracy=accuracy,
        parameters=parameters,
        train_seconds=seconds,
        members=dict(ensembles.members),
        weights=dict(ensembles.weights),
        genres=tuple(genres),
        audio_hash=audio_hash,
        pretrained={
            name: found for name in networks if (found := histories[name].get("pretrained"))
        },
    )
