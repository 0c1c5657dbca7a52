"""Pipelines compiled for a volume that is a folder, and checks of executed runs."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Sequence
from typing import Any

from tests.support.kubeflow_backend import Run

IMAGE = "registry.example.org/genreflow:1"

# At most one node of each kind, and no expensive one.
SMALLEST = """
[dataset]
kind = "fma"
[split]
policy = "official"
[training]
epochs = 1
[models.ffnn]
[baselines]
models = []
[gate]
floor = 0.0
beats_baseline = false
holds_ensemble = false
holds_serving = false
recall_floor = 0.0
[serving]
check = false
"""


def compile_for(
    folder: pathlib.Path, config: str | pathlib.Path, *overrides: str, metadata: str = ""
) -> pathlib.Path:
    """Compile a configuration for a volume that is mounted at `folder`.

    Args:
      folder: existing folder; gets `pipeline.yaml`. The pipeline root is `root` in it.
      config: a configuration's text, or its path.
      overrides: as --set takes them.
      metadata: URL of ML Metadata; "" for SQLite on the volume.

    Returns:
      The compiled file.
    """
    from kubeflow.compile import compiler
    from pipeline.config.load import load

    if isinstance(config, str):
        path = folder / "config.toml"
        path.write_text(config, encoding="utf-8")
        config = path
    settings = [
        f"kubeflow.image={IMAGE}",
        f"kubeflow.volume_path={folder}",
        "kubeflow.volume_claim=genreflow",
        f"kubeflow.pipeline_root={folder}/root",
        f"kubeflow.metadata={metadata or f'sqlite://{folder}/metadata.sqlite'}",
        "kubeflow.retry_seconds=0",
    ]
    loaded = load(config, [*settings, *overrides])
    target = folder / "pipeline.yaml"
    compiler.compile_pipeline(loaded, loaded.kubeflow, str(target))
    return target


def show(run: Run) -> None:
    """Print every attempt, for people who read a failed test."""
    for attempt in run.attempts:
        seconds = attempt.ended - attempt.begun
        print(f"--- {attempt.task}: status {attempt.status}, {seconds:.1f} s")
        print(attempt.output[-3000:])


def outcomes(results: dict[str, Any]) -> dict[str, str]:
    """Return the outcome of each node id in results.json."""
    return {name: node["outcome"] for name, node in results["nodes"].items()}


def results_of(root: pathlib.Path, run_id: str) -> dict[str, Any]:
    """Return the content of a run's results.json."""
    path = root / "runs" / run_id / "results.json"
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return values


def check_metadata(connection: Any, run_ids: Sequence[str]) -> None:
    """Check that ML Metadata holds each node of each run once, complete, with live outputs.

    No other execution may have made these outputs, even if several wrote at once.
    """
    from ml_metadata.metadata_store import metadata_store
    from ml_metadata.proto import metadata_store_pb2 as pb

    store = metadata_store.MetadataStore(connection)
    ended = (pb.Execution.COMPLETE, pb.Execution.CACHED)
    contexts = store.get_contexts()
    names = [(context.type_id, context.name) for context in contexts]
    assert len(names) == len(set(names))
    node_type = store.get_context_type("node").id
    for run_id in run_ids:
        run = store.get_context_by_type_and_name("pipeline_run", run_id)
        executions = store.get_executions_by_context(run.id)
        nodes = []
        for execution in executions:
            assert execution.last_known_state in ended, execution
            of = [c for c in store.get_contexts_by_execution(execution.id)]
            (node,) = [context.name for context in of if context.type_id == node_type]
            nodes.append(node)
        assert len(nodes) == len(set(nodes))
    makers: dict[int, set[int]] = {}
    executions = store.get_executions()
    complete = {e.id for e in executions if e.last_known_state == pb.Execution.COMPLETE}
    for event in store.get_events_by_execution_ids([e.id for e in executions]):
        if event.type == pb.Event.OUTPUT and event.execution_id in complete:
            makers.setdefault(event.artifact_id, set()).add(event.execution_id)
    for artifact in store.get_artifacts():
        assert artifact.state == pb.Artifact.LIVE, artifact
    assert all(len(made) == 1 for made in makers.values())


def put_execution(connection: Any, run_id: str, node_id: str, state: str) -> int:
    """Register an execution as TFX's launcher does; return its id."""
    from ml_metadata.metadata_store import metadata_store
    from ml_metadata.proto import metadata_store_pb2 as pb

    store = metadata_store.MetadataStore(connection)
    kind = store.put_execution_type(pb.ExecutionType(name="step"), can_add_fields=True)
    contexts = []
    for type_name, name in (("pipeline_run", run_id), ("node", f"genreflow.{node_id}")):
        type_id = store.put_context_type(pb.ContextType(name=type_name))
        contexts.append(pb.Context(type_id=type_id, name=name))
    execution = pb.Execution(type_id=kind, last_known_state=pb.Execution.State.Value(state))
    made, _, _ = store.put_execution(execution, [], contexts, reuse_context_if_already_exist=True)
    return int(made)
