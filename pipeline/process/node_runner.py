"""Runs the nodes of a compiled pipeline, one after the other, in this process.

The nodes go through TFX's portable launcher with ML Metadata, as its own local runner
does it; what is added is that somebody hears which node runs, was cached or failed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from ml_metadata.proto import metadata_store_pb2
from tfx.dsl.compiler import constants
from tfx.orchestration import metadata
from tfx.orchestration.local import runner_utils
from tfx.orchestration.portable import launcher, runtime_parameter_utils

from components.storage import objects
from components.storage.uri import is_remote, join

Outcome = Literal["done", "cached"]

# Called as on_event("node_started", node="Trainer.vgg16", index=5, total=12) and
# on_event("node_finished", node=..., outcome="done" or "cached", seconds=...).
OnEvent = Callable[..., None]


class NodeFailed(RuntimeError):  # noqa: N818  it is an outcome, the cause is the error
    """A node raised; the exception is its cause."""

    def __init__(self, node: str) -> None:
        super().__init__(f"node {node} failed")
        self.node = node


def run_all(ir: Any, connection: Any, run_id: str, on_event: OnEvent) -> None:
    """Runs every node in order.

    Args:
      ir: from `pipeline.graph.build.compile_ir`.
      connection: an ml_metadata ConnectionConfig.
      run_id: names the run in ML Metadata; used once.
      on_event: hears of each node.

    Raises:
      NodeFailed: the first node that fails ends the run.
    """
    runtime_parameter_utils.substitute_runtime_parameter(
        ir, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: run_id}
    )
    deployment = runner_utils.extract_local_deployment_config(ir)
    for index, node in enumerate(ir.nodes):
        node_id = node.pipeline_node.node_info.id
        on_event("node_started", node=node_id, index=index, total=len(ir.nodes))
        begun = time.monotonic()
        try:
            outcome = run_node(ir, deployment, node.pipeline_node, connection)
        except Exception as error:
            on_event("node_failed", node=node_id, seconds=time.monotonic() - begun)
            raise NodeFailed(node_id) from error
        on_event("node_finished", node=node_id, outcome=outcome, seconds=time.monotonic() - begun)


def keep_empty_outputs(outputs: Mapping[str, Iterable[Any]]) -> None:
    """Puts an object into each output in an object store that holds none.

    A store has no empty folders, and TFX takes a cached result whose folder is not there for
    deleted: the Evaluator, whose blessing holds nothing without thresholds, would run again
    in every run.
    """
    for artifacts in outputs.values():
        for artifact in artifacts:
            if is_remote(artifact.uri) and not objects.any_below(artifact.uri):
                objects.write(join(artifact.uri, ".empty"), b"")


def run_node(ir: Any, deployment: Any, node: Any, connection: Any) -> Outcome:
    """Runs one node and reads its outcome from ML Metadata.

    The launcher returns normally for a node whose inputs are missing, so the state of
    the execution, not the return, says whether it succeeded.

    Raises:
      RuntimeError: the node did not complete; any error of its executor as it is.
    """
    node_id = node.node_info.id
    info = launcher.Launcher(
        pipeline_node=node,
        mlmd_connection=metadata.Metadata(connection),
        pipeline_info=ir.pipeline_info,
        pipeline_runtime_spec=ir.runtime_spec,
        executor_spec=runner_utils.extract_executor_spec(deployment, node_id),
        custom_driver_spec=runner_utils.extract_custom_driver_spec(deployment, node_id),
    ).launch()
    if info is None or info.execution_id is None:
        raise RuntimeError(f"node {node_id} did not run: its inputs are missing")
    with metadata.Metadata(connection) as handle:
        (execution,) = handle.store.get_executions_by_id([info.execution_id])
    state = metadata_store_pb2.Execution.State.Name(execution.last_known_state)
    if state not in ("COMPLETE", "CACHED"):
        raise RuntimeError(f"node {node_id} ended in state {state}")
    if state == "COMPLETE":
        keep_empty_outputs(info.output_dict)
    return "cached" if state == "CACHED" else "done"
