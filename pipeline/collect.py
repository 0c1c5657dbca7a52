"""After the graph: reads ML Metadata and the artifacts, and writes results.json."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shutil
from collections.abc import Mapping
from typing import Any

import pandas as pd
from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2

from components import artifact_files
from components.models.registry import NETWORKS
from components.predictions import metrics, table
from components.trainer.event_log import FILE_PREFIX
from components.trainer.history import CURVES_FILE, HISTORY_FILE
from components.tuner.trials import FILES, JSON_FILE
from pipeline.config import Config
from pipeline.results import SCHEMA_VERSION

RUN_CONTEXT = "pipeline_run"
NODE_CONTEXT = "node"
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
    data = _read_json(record.outputs("SpectrogramGen"), "rejects", "summary.json")
    selector = record.outputs("Selector")
    selection = _read_json(selector, "predictions", "selection.json")
    decision = _read_json(record.outputs("GenreGate"), "blessing", "decision.json")
    pushed = record.outputs("Pusher").get("pushed_model")
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
        "models": _models(config, record, table.read_table(selector["predictions"].uri), genres),
        "candidate": selection["candidate"],
        "gate": {key: decision[key] for key in ("blessed", "rules")},
        "pushed_version": version,
        "nodes": {node: dict(values) for node, values in node_seconds.items()},
    }


def _models(
    config: Config, record: RunRecord, predictions: pd.DataFrame, genres: list[str]
) -> dict[str, Any]:
    models = {}
    for name in config.models:
        history = _read_json(record.outputs(f"Trainer.{name}"), "model_run", HISTORY_FILE)
        rows = predictions[predictions["model"] == name]
        models[name] = {
            "parameters": history["parameters"],
            "train_seconds": history["train_seconds"],
            **_tuning(record, name),
            **{
                split: metrics.evaluate(part, genres).to_json()
                for split, part in rows.groupby("split")
            },
        }
    return models


def _tuning(record: RunRecord, name: str) -> dict[str, Any]:
    """What a search chose for a network; nothing for one that was not tuned."""
    outputs = record.outputs(f"Tuner.{name}")
    if not outputs:
        return {}
    found = _read_json(outputs, "results", JSON_FILE)
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


def _read_json(outputs: Mapping[str, Any], key: str, name: str) -> Any:
    return json.loads(artifact_files.read_text(os.path.join(outputs[key].uri, name)))


def copy_rejects(record: RunRecord, destination: str) -> None:
    """Puts the run's list of rejects where people look for it."""
    source = os.path.join(record.outputs("SpectrogramGen")["rejects"].uri, "rejects.csv")
    artifact_files.write_bytes(destination, artifact_files.read_bytes(source))


def copy_curves(config: Config, record: RunRecord, folder: str) -> None:
    """Makes a folder show the curves of this run's networks, and of no others.

    `<network>.png`, and TensorBoard's files in `<network>/<phase>/`. Those that are right
    already, as a network's that was just trained, stay as they are: TensorBoard may be
    reading them.
    """
    root = pathlib.Path(folder)
    wanted: dict[pathlib.Path, bytes] = {}
    for name in config.models:
        outputs = record.outputs(f"Trainer.{name}")
        run = outputs["model_run"].uri
        picture = artifact_files.read_bytes(os.path.join(run, CURVES_FILE))
        wanted[root / f"{name}.png"] = picture
        for phase in _read_json(outputs, "model_run", HISTORY_FILE)["phases"]:
            for source in artifact_files.matching(
                os.path.join(run, phase["phase"]), f"{FILE_PREFIX}*"
            ):
                target = root / name / phase["phase"] / source.rpartition("/")[2]
                wanted[target] = artifact_files.read_bytes(source)
    for name in NETWORKS:
        for path in (*root.glob(f"{name}.png"), *root.glob(f"{name}/*/{FILE_PREFIX}*")):
            if path not in wanted:
                path.unlink()
    for path, content in wanted.items():
        if not path.is_file() or path.read_bytes() != content:
            artifact_files.write_bytes(str(path), content)


def copy_tuning(config: Config, record: RunRecord, destination: pathlib.Path) -> None:
    """Puts each search's results into a folder of its network's name, and takes away those
    of networks that are tuned no more."""
    for name in NETWORKS:
        folder = destination / name
        if name not in config.tuned_networks:
            shutil.rmtree(folder, ignore_errors=True)
            continue
        source = record.outputs(f"Tuner.{name}")["results"].uri
        for file in FILES:
            content = artifact_files.read_bytes(os.path.join(source, file))
            artifact_files.write_bytes(str(folder / file), content)
    with contextlib.suppress(OSError):
        destination.rmdir()  # if nothing is left in it
