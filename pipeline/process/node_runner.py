"""Runner of a compiled pipeline's nodes, one after the other, in this process.

Like TFX's own local runner it uses TFX's portable launcher with ML Metadata. It also reports
which node runs, was cached or failed.
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

from components.common import resources
from components.storage import objects
from components.storage.copies import Copies
from components.storage.uri import is_remote, join
from pipeline.process import staging

Outcome = Literal["done", "cached"]

# Growth of the process by one node, after which memory is released.
MIN_RELEASED_BYTES = 64 << 20

# Called as on_event("node_started", node="Trainer.vgg16", index=5, total=12) and
# on_event("node_finished", node=..., outcome="done" or "cached", seconds=...).
OnEvent = Callable[..., None]


class NodeFailed(RuntimeError):  # noqa: N818  an outcome; its cause is the error
    """Error of a run in which a node failed; its cause is the node's exception."""

    def __init__(self, node: str) -> None:
        super().__init__(f"node {node} failed")
        self.node = node


def run_all(ir: Any, connection: Any, run_id: str, on_event: OnEvent, copies: Copies) -> None:
    """Run every node in order.

    Args:
      ir: from `pipeline.graph.build.compile_ir`.
      connection: an ml_metadata ConnectionConfig.
      run_id: the run's name in ML Metadata; must be new.
      on_event: called when a node starts, finishes or fails.
      copies: for nodes that cannot work in an object store.

    Raises:
      NodeFailed: a node failed; later nodes did not run.
    """
    runtime_parameter_utils.substitute_runtime_parameter(
        ir, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: run_id}
    )
    deployment = runner_utils.extract_local_deployment_config(ir)
    for index, node in enumerate(ir.nodes):
        node_id = node.pipeline_node.node_info.id
        on_event("node_started", node=node_id, index=index, total=len(ir.nodes))
        begun, resident = time.monotonic(), resources.resident_bytes()
        try:
            outcome = run_node(ir, deployment, node.pipeline_node, connection, copies)
        except Exception as error:
            on_event("node_failed", node=node_id, seconds=time.monotonic() - begun)
            raise NodeFailed(node_id) from error
        on_event("node_finished", node=node_id, outcome=outcome, seconds=time.monotonic() - begun)
        # Otherwise every network that was trained would stay, with its gradients and moments.
        if resources.resident_bytes() > resident + MIN_RELEASED_BYTES:
            resources.release_memory()


def keep_empty_outputs(outputs: Mapping[str, Iterable[Any]]) -> None:
    """Write a placeholder object into each empty output in an object store.

    Object stores have no empty folders, and TFX treats a cached output whose folder is missing as
    deleted. Without the placeholder the Evaluator, whose blessing is empty without thresholds,
    would never be cached.
    """
    for artifacts in outputs.values():
        for artifact in artifacts:
            if is_remote(artifact.uri) and not objects.any_below(artifact.uri):
                objects.write(join(artifact.uri, ".empty"), b"")


def run_node(ir: Any, deployment: Any, node: Any, connection: Any, copies: Copies) -> Outcome:
    """Run one node and return its outcome from ML Metadata.

    The launcher returns normally even if inputs are missing, so success is read from the
    execution's state.

    Raises:
      RuntimeError: the node did not complete. Errors of its executor are passed on.
    """
    node_id = node.node_info.id
    info = launcher.Launcher(
        pipeline_node=node,
        mlmd_connection=metadata.Metadata(connection),
        pipeline_info=ir.pipeline_info,
        pipeline_runtime_spec=ir.runtime_spec,
        executor_spec=runner_utils.extract_executor_spec(deployment, node_id),
        custom_driver_spec=runner_utils.extract_custom_driver_spec(deployment, node_id),
        custom_executor_operators=staging.executor_operators(copies),
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
