"""Entry point of a run's last step, which publishes the results or describes the failure.

    python -m kubeflow.steps.finish --run-id ID --pipeline-root ROOT --metadata URL --status JSON \
        --page PATH

Kubeflow runs it as the exit handler. It reads ML Metadata and writes the files that a local run has
in its work folder to ROOT/runs/ID/: results.json, report/, rejects.csv, predictions.parquet,
curves/, tuning/. For a failed run it writes `failed.json` there: Kubeflow's status, and the state
of every node (of none if the first step failed), with the words of those that failed for a mistake
of the user's.

The states of the nodes in ML Metadata decide whether the run succeeded. Kubeflow's word for it is
only shown, because its releases use different words.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import pathlib
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from components.artifacts import files as artifact_files
from components.common.errors import GenreflowError, UsageError
from components.storage import objects
from components.storage.uri import is_remote, join
from kubeflow.steps import (
    deployment,
    final_failure,
    metadata_url,
    own_environment,
    pages,
    prepared,
)
from kubeflow.steps.metadata_url import MetadataUrl
from kubeflow.steps.prepared import PreparedRun
from kubeflow.steps.step_log import EXIT_FAILED, EXIT_USAGE, say
from pipeline.process.libraries import exit_at_once
from pipeline.results.results_file import FILE_NAME as RESULTS_FILE

if TYPE_CHECKING:
    from pipeline.results.schema import Results

FAILED_FILE = "failed.json"
NOT_STARTED = "not started"
# Words for success in PipelineTaskFinalStatus. kfp documents SUCCEEDED; the driver passes the state
# of an execution in ML Metadata (backend/src/v2/driver/resolve.go, 2.14.0 to 2.17.0).
_SUCCESS_WORDS = ("SUCCEEDED", "COMPLETE", "CACHED")


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


def publish_results(run: RecordedRun, *, page: str = "") -> Results:
    """Collect the results of a completed run, and publish them in its folder.

    Args:
      run: a completed run.
      page: local path for the report; "" for none.
    """
    import pydantic

    from components.artifacts.names import REPORT_HTML
    from pipeline.config.schema import Config
    from pipeline.results import collect, publish, results_file
    from pipeline.results.schema import NodeRun
    from pipeline.work_dir import WorkDir

    assert run.pipeline is not None
    pipeline, record = run.pipeline, run.record
    config = pydantic.TypeAdapter(Config).validate_json(json.dumps(pipeline.config))
    results = collect.collect(
        config,
        record,
        run_id=pipeline.run_id,
        genres=pipeline.facts["genres"],
        node_runs={
            # A completed node is "done" or "cached".
            name: NodeRun(node.outcome, node.seconds)  # type: ignore[arg-type]
            for name, node in run.nodes.items()
        },
    )
    with tempfile.TemporaryDirectory(prefix="genreflow-results-") as scratch:
        work_dir = WorkDir.at(scratch)
        publish.put(config, record, results, work_dir)
        results_file.write_results(results, scratch)
        if page:
            pathlib.Path(page).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(work_dir.report / REPORT_HTML, page)
        _upload(scratch, prepared.run_folder(pipeline.pipeline_root, pipeline.run_id))
    return results


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


def _upload(folder: str, destination: str) -> None:
    """Copy files; results.json comes last, so that its presence implies the others."""
    if is_remote(destination):
        objects.upload_folder(folder, destination, last=RESULTS_FILE)
        return
    files = sorted(path for path in pathlib.Path(folder).rglob("*") if path.is_file())
    files.sort(key=lambda path: path.name == RESULTS_FILE)
    for path in files:
        target = join(destination, path.relative_to(folder).as_posix())
        artifact_files.write_bytes(target, path.read_bytes())


def _record_failure(
    root: str, run_id: str, run: RecordedRun, status: Mapping[str, Any]
) -> list[str]:
    """Write failed.json; return lines that describe the failed run.

    Args:
      root: the pipeline root.
      run_id: the run's name in ML Metadata.
      run: the states of its nodes.
      status: Kubeflow's PipelineTaskFinalStatus.
    """
    lines = [f"Kubeflow says of the run: {status.get('state', 'nothing')}"]
    folder = prepared.run_folder(root, run_id)
    mistakes = final_failure.read_all(folder)
    error = status.get("error")
    if isinstance(error, dict) and error.get("message"):
        lines.append(str(error["message"]))
    if run.nodes:
        lines += [
            f"{name}: {mistakes[name].text}"
            if name in mistakes
            else f"{name}: {node.outcome}; see the log of its step"
            for name, node in run.nodes.items()
            if not node.ok and node.outcome != NOT_STARTED
        ]
        waiting = [name for name, node in run.nodes.items() if node.outcome == NOT_STARTED]
        lines += [f"not started: {', '.join(waiting)}"] if waiting else []
    else:
        step = "step Prepare" if run.pipeline is None else "step after Prepare"
        lines.append(f"no node has started; see the log of the {step}")
    if is_remote(root) or os.path.isdir(root):
        states = {
            name: {
                **dataclasses.asdict(node),
                **({"mistake": mistakes[name].text} if name in mistakes else {}),
            }
            for name, node in run.nodes.items()
        }
        text = json.dumps({"status": dict(status), "nodes": states}, indent=2)
        artifact_files.write_text(join(folder, FAILED_FILE), text)
        final_failure.remove_all(folder)
    return lines


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="kubeflow.steps.finish", description="Ends a run.")
    parser.add_argument("--run-id", required=True, help="names the run in ML Metadata")
    parser.add_argument("--pipeline-root", required=True, help=prepared.ROOT_HELP)
    parser.add_argument("--metadata", required=True, help=metadata_url.HELP)
    parser.add_argument("--status", default="{}", help="Kubeflow's PipelineTaskFinalStatus")
    parser.add_argument("--page", default="", help="where to write the report")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Run the step and return its exit status, which is 0 also after describing a failed run."""
    own_environment.take_over()
    given = parse_arguments(arguments)
    try:
        url = metadata_url.parse(given.metadata)
        status = _parse_status(given.status)
        run = read_run(given.pipeline_root, given.run_id, url)
        if not run.completed:
            lines = _record_failure(given.pipeline_root, given.run_id, run, status)
            if given.page:
                pages.write_text(given.page, "The run failed", lines)
            say("\n".join(lines))
            # Kubeflow's run must not end as a success.
            return EXIT_FAILED if status.get("state") in _SUCCESS_WORDS else 0
        results = publish_results(run, page=given.page)
        folder = prepared.run_folder(given.pipeline_root, given.run_id)
        for path in artifact_files.matching(folder, FAILED_FILE):  # of an earlier attempt
            artifact_files.remove(path)
    except UsageError as error:
        say(str(error))
        return EXIT_USAGE
    except GenreflowError as error:
        say(str(error))
        return EXIT_FAILED
    assert run.pipeline is not None
    verdict = "blessed" if results.gate.blessed else "not blessed"
    version = results.pushed_version
    say(
        f"{results.candidate}: {verdict}; "
        + (f"pushed as {join(run.pipeline.models, version)}" if version else "nothing pushed")
    )
    if status.get("state") not in _SUCCESS_WORDS:
        say(f"Kubeflow says of the run: {status.get('state', 'nothing')}; all nodes are complete")
    for line in deployment.lines(folder):
        say(line)
    say(f"results are in {folder}")
    return 0


def _parse_status(text: str) -> dict[str, Any]:
    try:
        status = json.loads(text)
    except ValueError as error:
        raise UsageError(f"--status: not JSON ({error})") from error
    if not isinstance(status, dict):
        raise UsageError("--status: a JSON object is needed")
    return status


if __name__ == "__main__":
    exit_at_once(main(sys.argv[1:]))
