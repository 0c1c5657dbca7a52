"""After the graph: reads ML Metadata and the artifacts; what results.json holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2

from components.artifacts import files as artifact_files
from components.artifacts.names import (
    BASELINES_JSON,
    DECISION_JSON,
    REJECT_SUMMARY_JSON,
    SELECTION_JSON,
    SERVING_CHECK_JSON,
    TRIALS_JSON,
)
from components.predictions import metrics, table
from components.serving_check import outcome
from pipeline.config.schema import Config
from pipeline.graph import nodes
from pipeline.results.results_file import SCHEMA_VERSION

RUN_CONTEXT = "pipeline_run"
NODE_CONTEXT = "node"
BLESSING = "ModelBlessing"
COUNTS = ("tracks_listed", "tracks_read", "tracks_decoded", "tracks", "clips", "rejects")


class RunRecord:
    """What one run left in ML Metadata: for each node its execution and its outputs."""

    def __init__(self, connection: Any, pipeline_name: str, run_id: str) -> None:
        """Reads the run.

        Raises:
          LookupError: there is no such run.
        """
        self._store = metadata_store.MetadataStore(connection)
        run = self._store.get_context_by_type_and_name(RUN_CONTEXT, run_id)
        if run is None:
            raise LookupError(f"no run {run_id} in the metadata store")
        prefix = f"{pipeline_name}."
        self.executions: dict[str, Any] = {}
        for execution in self._store.get_executions_by_context(run.id):
            for context in self._store.get_contexts_by_execution(execution.id):
                if self._type_name(context) == NODE_CONTEXT:
                    self.executions[context.name.removeprefix(prefix)] = execution

    def _type_name(self, context: Any) -> str:
        return context.type or self._store.get_context_types_by_id([context.type_id])[0].name

    def candidates_judged(self, test_digest: str) -> int:
        """How many different candidates gates of this work folder have judged on the same
        test tracks: the more, the less a lucky one means."""
        judged = {
            blessing.custom_properties["candidate_digest"].string_value
            for blessing in self._store.get_artifacts_by_type(BLESSING)
            if blessing.custom_properties["test_digest"].string_value == test_digest
        }
        return len(judged)

    def outputs(self, node: str) -> dict[str, Any]:
        """The node's output artifacts by key; {} for a node that did not run."""
        execution = self.executions.get(node)
        if execution is None:
            return {}
        kinds = metadata_store_pb2.Event
        events = [
            event
            for event in self._store.get_events_by_execution_ids([execution.id])
            if event.type == kinds.OUTPUT
        ]
        artifacts = {
            a.id: a for a in self._store.get_artifacts_by_id([e.artifact_id for e in events])
        }
        return {event.path.steps[0].key: artifacts[event.artifact_id] for event in events}


def collect(
    config: Config,
    record: RunRecord,
    *,
    run_id: str,
    genres: list[str],
    node_seconds: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """The run's outcome as results.json holds it; fails on nothing that did not run.

    Args:
      config: the run's configuration.
      record: the run in ML Metadata.
      run_id: its name there.
      genres: in label order.
      node_seconds: for each node `{"outcome", "seconds"}`, as the runner heard it.
    """
    data = read_json(record.outputs(nodes.SPECTROGRAM_GEN), "rejects", REJECT_SUMMARY_JSON)
    ensembler = record.outputs(nodes.ENSEMBLER)
    selection = read_json(ensembler, "predictions", SELECTION_JSON)
    decision = read_json(record.outputs(nodes.GENRE_GATE), "blessing", DECISION_JSON)
    predictions = table.read_table(ensembler["predictions"].uri)
    pushed = record.outputs(nodes.PUSHER).get("pushed_model")
    version = (pushed and pushed.custom_properties["pushed_version"].string_value) or None
    return {
        "schema_version": SCHEMA_VERSION,
        "run_id": run_id,
        "config_digest": config.digest(),
        "dataset": config.dataset.kind,
        "genres": genres,
        "synthetic": config.dataset.kind == "synthetic",
        "leaky": bool(data["leaky"]),
        "audio_hash": config.audio.digest(),
        "counts": {key: data[key] for key in COUNTS},
        "models": _models(record, selection, predictions, genres),
        "candidate": selection["candidate"],
        "best_baseline": selection["best_baseline"],
        "ensembles": {"members": selection["members"], "weights": selection["weights"]},
        **_principal_components(record),
        "gate": {key: decision[key] for key in ("blessed", "rules")},
        "serving_check": _serving_check(record),
        "test_split_uses": record.candidates_judged(decision["test_digest"]),
        "pushed_version": version,
        "nodes": {node: dict(values) for node, values in node_seconds.items()},
    }


def _models(
    record: RunRecord, selection: Mapping[str, Any], predictions: pd.DataFrame, genres: list[str]
) -> dict[str, Any]:
    """Every model's numbers: networks, baselines, ensembles."""
    models = {}
    for name, kind in selection["kinds"].items():
        rows = predictions[predictions["model"] == name]
        models[name] = {
            "kind": kind,
            "parameters": selection["parameters"][name],
            "train_seconds": selection["train_seconds"][name],
            **_tuning(record, name),
            **{
                str(split): metrics.evaluate(part, genres).to_json()
                for split, part in rows.groupby("split")
            },
        }
    return models


def _serving_check(record: RunRecord) -> Any:
    """How the candidate did on a server."""
    outputs = record.outputs(nodes.SERVING_CHECK)
    if not outputs:
        return outcome.OFF.to_json()
    return read_json(outputs, "infra_blessing", SERVING_CHECK_JSON)


def _principal_components(record: RunRecord) -> dict[str, Any]:
    """How much of the spectrograms the baselines see; nothing without baselines."""
    outputs = record.outputs(nodes.BASELINE_TRAINER)
    if not outputs:
        return {}
    found = read_json(outputs, "baselines", BASELINES_JSON)["pca"]
    return {"pca": {"components": found["components"], "explained_variance": found["total"]}}


def _tuning(record: RunRecord, name: str) -> dict[str, Any]:
    """What a search chose for a network; nothing for one that was not tuned."""
    outputs = record.outputs(nodes.tuner(name))
    if not outputs:
        return {}
    found = read_json(outputs, "results", TRIALS_JSON)
    best = found["trials"][found["best"] - 1]
    return {
        "tuning": {
            "values": found["values"],
            "validation_loss": best["val_loss"],
            "validation_clip_accuracy": best["val_accuracy"],
            "best_trial": found["best"],
            "trials": len(found["trials"]),
            "failed": sum(trial["outcome"] == "failed" for trial in found["trials"]),
            "algorithm": found["algorithm"],
            "seconds": found["seconds"],
        }
    }


def read_json(outputs: Mapping[str, Any], key: str, name: str) -> Any:
    """A JSON file of one of a node's output artifacts."""
    return artifact_files.read_json(outputs[key].uri, name)
