"""The graph of a prepared run, read in a step's process, and TFX's runner of its nodes."""

from __future__ import annotations

import base64
import dataclasses
import logging
import os
import sys
import time
from typing import TYPE_CHECKING, Any

from components.common.errors import UsageError
from kubeflow.steps import metadata_url
from kubeflow.steps.metadata_url import MetadataUrl
from kubeflow.steps.prepared import PreparedRun
from kubeflow.steps.step_log import say
from pipeline.process.libraries import configure_tensorflow, tfx_imports

if TYPE_CHECKING:
    from components.storage.copies import Copies
    from pipeline.process.node_runner import Outcome

_TFX = "tfx.orchestration.portable.launcher"


@dataclasses.dataclass(frozen=True)
class OpenedGraph:
    """Graph of one run.

    Attributes:
      ir: TFX's intermediate representation, with the run's id in it.
      deployment: its LocalDeploymentConfig.
      connection: an ml_metadata ConnectionConfig.
    """

    ir: Any
    deployment: Any
    connection: Any

    @property
    def name(self) -> str:
        """Return the pipeline's name."""
        return str(self.ir.pipeline_info.id)

    def _node(self, node_id: str) -> Any:
        (node,) = (
            n.pipeline_node for n in self.ir.nodes if n.pipeline_node.node_info.id == node_id
        )
        return node

    def run(self, node_id: str, copies: Copies) -> Outcome:
        """Run a node, or take it from the cache. Any error of the node is passed on."""
        from pipeline.process import node_runner

        node = self._node(node_id)
        return node_runner.run_node(self.ir, self.deployment, node, self.connection, copies)

    def has_cached_outputs(self, node_id: str) -> bool:
        """Return whether the cache has outputs of a node whose upstream nodes are complete."""
        from pipeline.process import node_cache

        return node_cache.has_cached_outputs(
            self.ir, self.deployment, self._node(node_id), self.connection
        )


def is_imported() -> bool:
    """Return whether TFX is imported already, which takes some 15 s."""
    return _TFX in sys.modules


def open_graph(pipeline: PreparedRun, url: MetadataUrl, node_id: str) -> OpenedGraph:
    """Read a run's graph. Imports TFX.

    Args:
      pipeline: the run, as the first step wrote it.
      url: URL of ML Metadata.
      node_id: a node that the step runs; named in the log.

    Raises:
      UsageError: there is no such node, or the password is not set.
      MetadataUnreachable: the metadata store does not respond.
    """
    if node_id not in pipeline.nodes:  # checked before the seconds that TFX takes
        raise UsageError(
            f"no node {node_id!r} in this pipeline; there are: {', '.join(pipeline.nodes)}"
        )
    connection = metadata_url.connection_config(url, os.environ)
    metadata_url.check_reachable(url, connection)
    begun, is_first = time.monotonic(), not is_imported()
    configure_tensorflow()
    with tfx_imports():
        from tfx.dsl.compiler import constants
        from tfx.orchestration.local import runner_utils
        from tfx.orchestration.portable import runtime_parameter_utils
        from tfx.proto.orchestration import pipeline_pb2

        from components.artifacts import tfx_files
        from pipeline.process import node_runner  # noqa: F401  here, so that its time is told
        from pipeline.results import collect  # noqa: F401
    # TFX's warnings concern its own internals; nodes report their problems in other ways.
    logging.getLogger("absl").setLevel(logging.ERROR)
    if is_first:
        say(f"imported in {time.monotonic() - begun:.1f} s", node_id=node_id)
    tfx_files.prepare(pipeline.pipeline_root, pipeline.models)
    ir = pipeline_pb2.Pipeline.FromString(base64.b64decode(pipeline.ir))
    runtime_parameter_utils.substitute_runtime_parameter(
        ir, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: pipeline.run_id}
    )
    return OpenedGraph(ir, runner_utils.extract_local_deployment_config(ir), connection)
