"""A run as its files and ML Metadata tell of it: which nodes are complete."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

from components.artifacts import files as artifact_files
from components.storage.uri import join
from kubeflow.steps import metadata_url, prepared
from kubeflow.steps.metadata_url import MetadataUrl
from kubeflow.steps.prepared import PreparedRun

NOT_STARTED = "not started"


@dataclasses.dataclass(frozen=True)
class NodeState:
    """State of a node in ML Metadata.

    Attributes:
      ok: whether the node is complete.
      outcome: "done", "cached", "not started", or the name of another state.
      seconds: time between the first and the last entry.
    """

    ok: bool
    outcome: str
    seconds: float


@dataclasses.dataclass(frozen=True)
class RecordedRun:
    """Run as its files and ML Metadata tell of it.

    Attributes:
      pipeline: the run, as the first step wrote it; None if that step failed.
      record: the run in ML Metadata, a RunRecord; None if no node has started.
      nodes: state of each node of the graph, in order; empty if no node has started.
    """

    pipeline: PreparedRun | None = None
    record: Any = None
    nodes: Mapping[str, NodeState] = dataclasses.field(default_factory=dict)

    @property
    def completed(self) -> bool:
        """Return whether every node completed."""
        return bool(self.nodes) and all(node.ok for node in self.nodes.values())


def read_run(root: str, run_id: str, url: MetadataUrl) -> RecordedRun:
    """Read the states of a run's nodes.

    Args:
      root: the pipeline root.
      run_id: the run's name in ML Metadata.
      url: URL of ML Metadata.

    Raises:
      MetadataUnreachable: the metadata store does not respond.
      UsageError: the first step's file cannot be used.
    """
    from pipeline.places import PIPELINE_NAME
    from pipeline.results import collect

    folder = prepared.run_folder(root, run_id)
    if not artifact_files.matching(folder, prepared.FILE):
        return RecordedRun()
    pipeline = prepared.read(join(folder, prepared.FILE))
    connection = metadata_url.connection_config(url, os.environ)
    metadata_url.check_reachable(url, connection)
    try:
        record = collect.RunRecord(connection, PIPELINE_NAME, pipeline.run_id)
    except LookupError:
        return RecordedRun(pipeline)
    return RecordedRun(pipeline, record, node_states(pipeline, record))


def node_states(pipeline: PreparedRun, record: Any) -> dict[str, NodeState]:
    """Return the state of each node of the graph, in order.

    Args:
      pipeline: the run, as the first step wrote it.
      record: the run in ML Metadata, a RunRecord.
    """
    from ml_metadata.proto import metadata_store_pb2

    states = metadata_store_pb2.Execution.State
    outcomes = {states.COMPLETE: "done", states.CACHED: "cached"}
    found = {}
    for name in pipeline.nodes:
        execution = record.executions.get(name)
        state = execution.last_known_state if execution else states.UNKNOWN
        times = (
            (execution.create_time_since_epoch, execution.last_update_time_since_epoch)
            if execution
            else (0, 0)
        )
        found[name] = NodeState(
            ok=state in outcomes,
            outcome=outcomes.get(state, states.Name(state) if execution else NOT_STARTED),
            seconds=round(max(0, times[1] - times[0]) / 1000, 3),
        )
    return found
