"""Entry point of the step that runs nodes, with the same launcher as the local runner.

    python -m kubeflow.steps.run_node --node-id Trainer.vgg16 \
        --pipeline-ir ROOT/runs/ID/pipeline.json \
        --pipeline-root ROOT --metadata mysql://genreflow@mysql:3306/genreflow \
        --file page PATH --executor-input JSON

A step runs one node, or several small ones in the order in which they are given. Kubeflow Pipelines
schedules and retries. TFX manages inputs, caching and lineage with ML Metadata. A retry takes over
the execution of the failed attempt, with its number and its folders, so these are emptied first;
nodes that are complete are skipped. A failure that another attempt would not mend is recorded, and
the next attempt ends at once with its words (kubeflow.steps.final_failure). Exit status: 0 every
node is complete or cached; 1 one failed; 2 one could not start, and a retry would not help.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from components.artifacts import typed_json
from components.artifacts.names import REJECT_SUMMARY_JSON
from components.spectrogram_gen.summary import DataSummary
from components.storage import objects
from components.storage.copies import Copies, local_copies
from components.storage.uri import is_remote, join
from kubeflow.steps import (
    executor_output,
    final_failure,
    metadata_url,
    opened_graph,
    outputs,
    own_environment,
    prepared,
)
from kubeflow.steps.executor_output import ExecutorOutput
from kubeflow.steps.metadata_url import MetadataUrl
from kubeflow.steps.prepared import PreparedRun
from kubeflow.steps.step_log import progress_lines, report_error, say
from pipeline.graph.nodes import SPECTROGRAM_GEN
from pipeline.process.libraries import exit_at_once

if TYPE_CHECKING:
    from pipeline.results.collect import RunRecord

_COMPLETE_BEFORE = "complete since an earlier attempt or lookup"
_NOT_AGAIN = (
    "an earlier attempt of this run failed so, and another would too; mend it and start a new run"
)


def run(
    node_id: str,
    pipeline: PreparedRun,
    url: MetadataUrl,
    copies: Copies,
    write_outputs: Callable[[RunRecord], None] | None = None,
) -> str:
    """Run a node of a prepared pipeline in this process, unless an earlier attempt completed it.

    Args:
      node_id: the node's id.
      pipeline: the run, as the first step wrote it.
      url: URL of ML Metadata.
      copies: the step's local copies, for nodes that cannot work in an object store.
      write_outputs: writes what Kubeflow shows of the step; None before its last node.

    Returns:
      "done" or "cached"; "complete since ..." for a node that did not run again.

    Raises:
      UsageError: there is no such node, or the password is not set.
      MetadataUnreachable: the metadata store does not respond.
      Exception: any error of the node.
    """
    graph = opened_graph.open_graph(pipeline, url, node_id)
    from pipeline.results import collect

    if empty_earlier_attempt(graph.connection, graph.name, pipeline, node_id):
        outcome = _COMPLETE_BEFORE
    else:
        folder = prepared.run_folder(pipeline.pipeline_root, pipeline.run_id)
        with progress_lines(node_id), final_failure.recorded(folder, node_id):
            outcome = graph.run(node_id, copies)
    record = collect.RunRecord(graph.connection, graph.name, pipeline.run_id)
    if node_id == SPECTROGRAM_GEN:
        _say_counts(record.outputs(node_id)["rejects"].uri)
    if write_outputs:
        write_outputs(record)
    return outcome


def _say_counts(rejects: str) -> None:
    counts = typed_json.read(DataSummary, rejects, REJECT_SUMMARY_JSON)
    say(
        f"{counts.clips.total} clips of {counts.tracks.total} tracks; "
        f"{sum(counts.rejects.values())} tracks rejected",
        node_id=SPECTROGRAM_GEN,
    )


def empty_earlier_attempt(
    connection: Any, pipeline_name: str, run: PreparedRun, node_id: str
) -> bool:
    """Delete the outputs of an earlier attempt of this node that did not complete.

    TFX gives a retried execution the folders of the failed one, and its own executors add to the
    files that they find there.

    Returns:
      Whether an earlier attempt completed the node; then nothing is deleted.
    """
    from ml_metadata.proto import metadata_store_pb2

    from pipeline.results.collect import RunRecord

    try:
        execution = RunRecord(connection, pipeline_name, run.run_id).executions.get(node_id)
    except LookupError:  # the first node of the run
        return False
    states = metadata_store_pb2.Execution
    if execution is None:
        return False
    if execution.last_known_state in (states.COMPLETE, states.CACHED):
        return True
    _delete_outputs(join(run.pipeline_root, node_id), str(execution.id))
    return False


def _delete_outputs(node_folder: str, execution_id: str) -> None:
    """Delete `<node>/<output key>/<execution id>/` for every key."""
    if is_remote(node_folder):
        prefix = f"{node_folder}/"
        keys = {item.uri[len(prefix) :].split("/")[0] for item in objects.list_objects(prefix)}
        for key in sorted(keys):
            objects.delete_below(join(node_folder, key, execution_id))
        return
    if os.path.isdir(node_folder):
        for key in sorted(os.listdir(node_folder)):
            shutil.rmtree(os.path.join(node_folder, key, execution_id), ignore_errors=True)


def _write_outputs(
    given: argparse.Namespace, pipeline: PreparedRun, record: RunRecord, path: str
) -> None:
    """Write the nodes' outputs for Kubeflow, and the launcher's file unless its path is ""."""
    names = {owner: name for name, owner in outputs.of_step(given.node_ids).items()}
    paths = dict(given.files)
    output = ExecutorOutput()
    for node_id in given.node_ids:
        outputs.write(
            node_id,
            record,
            {
                kind: paths[name]
                for (owner, kind), name in names.items()
                if owner == node_id and name in paths
            },
            output,
            outputs.cluster_uri(pipeline.models, given.volume_claim, given.volume),
        )
    if path:
        output.write(path)


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="kubeflow.steps.run_node", description="Runs nodes.")
    parser.add_argument(
        "--node-id", required=True, action="append", dest="node_ids",
        help="id of a node, such as Trainer.vgg16; several are run in this order",
    )  # fmt: skip
    parser.add_argument("--pipeline-ir", required=True, help="path of the run's pipeline.json")
    parser.add_argument("--pipeline-root", required=True, help=prepared.ROOT_HELP)
    parser.add_argument("--metadata", required=True, help=metadata_url.HELP)
    parser.add_argument(
        "--file", nargs=2, action="append", default=[], dest="files", metavar=("OUTPUT", "PATH"),
        help="where to write an output that is a file, such as the page",
    )  # fmt: skip
    parser.add_argument("--executor-input", default="", help="the launcher's ExecutorInput as JSON")
    parser.add_argument("--volume-claim", default="", help="the volume's PersistentVolumeClaim")
    parser.add_argument("--volume", default="", help="mount point of the volume")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Run a step and return its exit status. All messages go to the step's log."""
    own_environment.take_over()
    given = parse_arguments(arguments)
    node_id = given.node_ids[0]
    try:
        url = metadata_url.parse(given.metadata)
        pipeline = prepared.read_for_step(given.pipeline_ir, given.pipeline_root)
        folder = prepared.run_folder(pipeline.pipeline_root, pipeline.run_id)
        for node_id in given.node_ids:
            if earlier := final_failure.read(folder, node_id):
                say(f"{earlier.text}\n{_NOT_AGAIN}", node_id=node_id, file=sys.stderr)
                return earlier.status
        path = given.executor_input and executor_output.output_file(given.executor_input)
        with local_copies() as copies:
            for node_id in given.node_ids:
                begun = time.monotonic()
                importing = "" if opened_graph.is_imported() else " (importing TFX takes some 15 s)"
                say(f"starting{importing}", node_id=node_id)
                outcome = run(
                    node_id,
                    pipeline,
                    url,
                    copies,
                    (lambda record: _write_outputs(given, pipeline, record, path))
                    if node_id == given.node_ids[-1]
                    else None,
                )
                say(f"{outcome}, {time.monotonic() - begun:.1f} s", node_id=node_id)
    except Exception as error:  # a node may raise anything, and users look into its step's log
        return report_error(error, node_id=node_id)
    return 0


if __name__ == "__main__":
    exit_at_once(main(sys.argv[1:]))
