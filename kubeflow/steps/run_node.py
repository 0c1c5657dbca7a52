"""One step of the pipeline: one node, by the launcher that the local runner uses too.

    python -m kubeflow.steps.run_node --node-id Trainer.vgg16 \
        --pipeline-ir ROOT/runs/ID/pipeline.json \
        --pipeline-root ROOT --metadata mysql://genreflow@mysql:3306/genreflow --page PATH

Kubeflow Pipelines schedules and retries; inputs, caching and lineage are TFX's, by ML
Metadata. A retry takes over the execution of the attempt that died, with its number and its
folders, so these are emptied first. Exit status: 0 the node is complete or cached; 1 it failed;
2 it could not begin, and a retry would not help.
"""

from __future__ import annotations

import argparse
import base64
import logging
import os
import shutil
import sys
import time
import traceback
from collections.abc import Sequence
from typing import Any

from components.artifacts import files as artifact_files
from components.artifacts.names import REJECT_SUMMARY_JSON
from components.common.errors import UsageError
from components.common.escape import printable
from components.storage import objects
from components.storage.uri import is_remote, join
from kubeflow.steps import metadata_url, prepared
from kubeflow.steps.metadata_url import MetadataUrl
from kubeflow.steps.prepared import Prepared
from kubeflow.steps.step_log import told
from pipeline.graph.nodes import SPECTROGRAM_GEN
from pipeline.process import exit as ending
from pipeline.process import failures

EXIT_FAILED, EXIT_USAGE = 1, 2


def run(node_id: str, pipeline: Prepared, url: MetadataUrl, *, page: str = "") -> str:
    """Runs a node of a prepared pipeline in this process.

    Args:
      node_id: as the graph names it.
      pipeline: what the first step wrote.
      url: ML Metadata's.
      page: a local path for what people want to see of the node, as HTML; "" for none.

    Returns:
      "done" or "cached".

    Raises:
      UsageError: no such node, or no password.
      MetadataUnreachable: the metadata store does not answer.
      Exception: whatever the node raises.
    """
    from pipeline.process import imports as startup

    if node_id not in pipeline.nodes:  # told before the seconds that TFX takes
        raise UsageError(
            f"no node {node_id!r} in this pipeline; there are: {', '.join(pipeline.nodes)}"
        )
    connection = metadata_url.connection_config(url, os.environ)
    metadata_url.check_reachable(url, connection)
    begun = time.monotonic()
    startup.suit_tensorflow()
    startup.defer("tfx.components")
    with startup.quick_imports():
        from tfx.dsl.compiler import constants
        from tfx.orchestration.local import runner_utils
        from tfx.orchestration.portable import runtime_parameter_utils
        from tfx.proto.orchestration import pipeline_pb2

        from components.artifacts import tensorflow_s3 as tensorflow_files
        from kubeflow.steps import pages
        from pipeline.process import node_runner
        from pipeline.results import collect
    # TFX warns of its own workings; what a node has to say is told in other ways.
    logging.getLogger("absl").setLevel(logging.ERROR)
    print(f"genreflow: {node_id}: imported in {time.monotonic() - begun:.1f} s", flush=True)

    tensorflow_files.prepare(pipeline.pipeline_root, pipeline.models)
    ir = pipeline_pb2.Pipeline.FromString(base64.b64decode(pipeline.ir))
    nodes = {node.pipeline_node.node_info.id: node.pipeline_node for node in ir.nodes}
    runtime_parameter_utils.substitute_runtime_parameter(
        ir, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: pipeline.run_id}
    )
    name = ir.pipeline_info.id
    empty_earlier_attempt(connection, name, pipeline, node_id)
    deployment = runner_utils.extract_local_deployment_config(ir)
    with told(node_id):
        outcome = node_runner.run_node(ir, deployment, nodes[node_id], connection)
    record = collect.RunRecord(connection, name, pipeline.run_id)
    if node_id == SPECTROGRAM_GEN:
        _say_counts(record.outputs(node_id)["rejects"].uri)
    if page:
        pages.write(node_id, record.outputs(node_id), page)
    return outcome


def _say_counts(rejects: str) -> None:
    counts = artifact_files.read_json(rejects, REJECT_SUMMARY_JSON)
    print(
        f"genreflow: {SPECTROGRAM_GEN}: {sum(counts['clips'].values())} clips of "
        f"{sum(counts['tracks'].values())} tracks; {sum(counts['rejects'].values())} left out",
        flush=True,
    )


def empty_earlier_attempt(connection: Any, pipeline_name: str, run: Prepared, node_id: str) -> None:
    """Deletes what an attempt of this node in this run has left that did not complete.

    TFX gives a retried execution the folders of the dead one, and its own executors add to
    what they find there.
    """
    from ml_metadata.proto import metadata_store_pb2

    from pipeline.results.collect import RunRecord

    try:
        execution = RunRecord(connection, pipeline_name, run.run_id).executions.get(node_id)
    except LookupError:  # the first node of the run
        return
    states = metadata_store_pb2.Execution
    if execution and execution.last_known_state not in (states.COMPLETE, states.CACHED):
        _delete_outputs(join(run.pipeline_root, node_id), str(execution.id))


def _delete_outputs(node_folder: str, execution_id: str) -> None:
    """`<node>/<output key>/<execution id>/` of every key."""
    if is_remote(node_folder):
        prefix = f"{node_folder}/"
        keys = {item.uri[len(prefix) :].split("/")[0] for item in objects.list_objects(prefix)}
        for key in sorted(keys):
            objects.delete_below(join(node_folder, key, execution_id))
        return
    if os.path.isdir(node_folder):
        for key in sorted(os.listdir(node_folder)):
            shutil.rmtree(os.path.join(node_folder, key, execution_id), ignore_errors=True)


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="kubeflow.steps.run_node", description="Runs one node.")
    parser.add_argument("--node-id", required=True, help="as the graph names it: Trainer.vgg16")
    parser.add_argument("--pipeline-ir", required=True, help="pipeline.json of the run")
    parser.add_argument("--pipeline-root", required=True, help=prepared.ROOT_HELP)
    parser.add_argument("--metadata", required=True, help=metadata_url.HELP)
    parser.add_argument("--page", default="", help="where to write the node's page")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Runs a step; returns its exit status. Everything it says goes to the step's log."""
    given = parse_arguments(arguments)
    begun = time.monotonic()
    try:
        url = metadata_url.parse(given.metadata)
        prepared.check_shared_root(given.pipeline_root)
        pipeline = prepared.read(given.pipeline_ir)
        if pipeline.pipeline_root != given.pipeline_root:
            raise UsageError(
                f"{given.pipeline_root}: the run was prepared for the pipeline root "
                f"{pipeline.pipeline_root}; start a new run"
            )
        print(f"genreflow: {given.node_id}: begins (importing TFX, some 15 s)", flush=True)
        outcome = run(given.node_id, pipeline, url, page=given.page)
    except Exception as error:  # a node may raise anything; its step's log is where people look
        cause = failures.mendable(error)
        if cause is None:
            traceback.print_exc()
        status = EXIT_USAGE if isinstance(error, UsageError) else EXIT_FAILED
        return _failed(given.node_id, str(cause) if cause else failures.one_line(error), status)
    seconds = time.monotonic() - begun
    print(f"genreflow: {given.node_id}: {outcome}, {seconds:.1f} s", flush=True)
    return 0


def _failed(node_id: str, message: str, status: int) -> int:
    for line in message.splitlines():
        print(f"genreflow: {node_id}: {printable(line)}", file=sys.stderr)
    return status


if __name__ == "__main__":
    ending.end(main(sys.argv[1:]))
