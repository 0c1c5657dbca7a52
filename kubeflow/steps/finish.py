"""The last step of a run, whether it went well or not: results where people look for them.

    python -m kubeflow.steps.finish --run-id ID --pipeline-root ROOT --metadata URL --status JSON \
        --page PATH

Kubeflow runs it as the exit handler. It reads ML Metadata and writes into ROOT/runs/ID/ what a
local run has in its work folder: results.json, report/, rejects.csv, predictions.parquet,
curves/, tuning/. Of a run that failed it writes `failed.json` there: Kubeflow's status, and the
state of every node (none where the first step failed).
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from components.artifacts import files as artifact_files
from components.common.errors import DataError, GenreflowError, UsageError
from components.common.escape import printable
from components.storage import objects
from components.storage.uri import is_remote, join
from kubeflow.steps import metadata_url, pages, prepared
from kubeflow.steps.metadata_url import MetadataUrl
from kubeflow.steps.prepared import Prepared
from pipeline.process.libraries import exit_at_once
from pipeline.results.results_file import FILE_NAME as RESULTS_FILE

if TYPE_CHECKING:
    from pipeline.results.schema import Results

EXIT_FAILED, EXIT_USAGE = 1, 2
FAILED_FILE = "failed.json"
NOT_STARTED = "not started"


def finish(pipeline: Prepared, url: MetadataUrl, *, page: str = "") -> Results:
    """Collect the results of a run whose nodes all completed, and publish them.

    Args:
      pipeline: what the first step wrote.
      url: ML Metadata's.
      page: a local path for the report; "" for none.

    Returns:
      The results.

    Raises:
      MetadataUnreachable: the metadata store does not answer.
      DataError: a node did not complete.
    """
    import pydantic

    from components.artifacts.names import REPORT_HTML
    from pipeline.config.schema import Config
    from pipeline.places import PIPELINE_NAME
    from pipeline.results import collect, results_file
    from pipeline.results import publish as outputs
    from pipeline.results.schema import NodeRun
    from pipeline.work_dir import WorkDir

    connection = metadata_url.connection_config(url, os.environ)
    metadata_url.check_reachable(url, connection)
    config = pydantic.TypeAdapter(Config).validate_json(json.dumps(pipeline.config))
    record = collect.RunRecord(connection, PIPELINE_NAME, pipeline.run_id)
    states = node_states(pipeline, record)
    lacking = sorted(name for name, node in states.items() if not node["ok"])
    if lacking:
        raise DataError(f"these nodes did not complete: {', '.join(lacking)}")
    results = collect.collect(
        config,
        record,
        run_id=pipeline.run_id,
        genres=pipeline.facts["genres"],
        node_runs={
            name: NodeRun(node["outcome"], node["seconds"]) for name, node in states.items()
        },
    )
    with tempfile.TemporaryDirectory(prefix="genreflow-results-") as scratch:
        work_dir = WorkDir.at(scratch)
        outputs.put(config, record, results, work_dir)
        results_file.write_results(results, scratch)
        if page:
            pathlib.Path(page).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(work_dir.report / REPORT_HTML, page)
        _publish(scratch, prepared.run_folder(pipeline.pipeline_root, pipeline.run_id))
    return results


def node_states(pipeline: Prepared, record: Any) -> dict[str, dict[str, Any]]:
    """For each node of the graph, in order: `ok`, `outcome` (done, cached, or the state's name
    in ML Metadata) and `seconds` between its first and its last entry there."""
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
        found[name] = {
            "ok": state in outcomes,
            "outcome": outcomes.get(state, states.Name(state) if execution else NOT_STARTED),
            "seconds": round(max(0, times[1] - times[0]) / 1000, 3),
        }
    return found


def _publish(folder: str, destination: str) -> None:
    """Copies files, results.json last: whoever sees it finds the rest."""
    if is_remote(destination):
        objects.upload_folder(folder, destination, last=RESULTS_FILE)
        return
    files = sorted(path for path in pathlib.Path(folder).rglob("*") if path.is_file())
    files.sort(key=lambda path: path.name == RESULTS_FILE)
    for path in files:
        target = join(destination, path.relative_to(folder).as_posix())
        artifact_files.write_bytes(target, path.read_bytes())


def _tell_failure(root: str, run_id: str, url: MetadataUrl, status: Mapping[str, Any]) -> list[str]:
    """Writes failed.json; returns what there is to say of the run, in lines."""
    lines = [f"the run ended in state {status.get('state')}"]
    error = status.get("error")
    if isinstance(error, dict) and error.get("message"):
        lines.append(str(error["message"]))
    folder = prepared.run_folder(root, run_id)
    nodes: dict[str, dict[str, Any]] = {}
    if artifact_files.matching(folder, prepared.FILE):
        nodes = _states_in_metadata(prepared.read(join(folder, prepared.FILE)), url)
    if nodes:
        lines += [
            f"{name}: {node['outcome']}; its step's log says why"
            for name, node in nodes.items()
            if not node["ok"] and node["outcome"] != NOT_STARTED
        ]
        left = [name for name, node in nodes.items() if node["outcome"] == NOT_STARTED]
        lines += [f"not started: {', '.join(left)}"] if left else []
    else:
        lines.append("no node had begun: the log of the step Prepare says why")
    if is_remote(root) or os.path.isdir(root):
        text = json.dumps({"status": dict(status), "nodes": nodes}, indent=2)
        artifact_files.write_text(join(folder, FAILED_FILE), text)
    return lines


def _states_in_metadata(pipeline: Prepared, url: MetadataUrl) -> dict[str, dict[str, Any]]:
    """`node_states`; {} where no node had begun."""
    from pipeline.places import PIPELINE_NAME
    from pipeline.results import collect

    connection = metadata_url.connection_config(url, os.environ)
    metadata_url.check_reachable(url, connection)
    try:
        record = collect.RunRecord(connection, PIPELINE_NAME, pipeline.run_id)
    except LookupError:
        return {}
    return node_states(pipeline, record)


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="kubeflow.steps.finish", description="Ends a run.")
    parser.add_argument("--run-id", required=True, help="names the run in ML Metadata")
    parser.add_argument("--pipeline-root", required=True, help=prepared.ROOT_HELP)
    parser.add_argument("--metadata", required=True, help=metadata_url.HELP)
    parser.add_argument("--status", default="{}", help="Kubeflow's PipelineTaskFinalStatus")
    parser.add_argument("--page", default="", help="where to write the report")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Runs the step; returns its exit status: 0 also for a failed run that was told of."""
    given = parse_arguments(arguments)
    try:
        url = metadata_url.parse(given.metadata)
        status = _status(given.status)
        if str(status.get("state", "SUCCEEDED")) != "SUCCEEDED":
            lines = _tell_failure(given.pipeline_root, given.run_id, url, status)
            if given.page:
                pages.write_text(given.page, "The run failed", lines)
            _say("\n".join(lines))
            return 0
        folder = prepared.run_folder(given.pipeline_root, given.run_id)
        pipeline = prepared.read(join(folder, prepared.FILE))
        results = finish(pipeline, url, page=given.page)
    except UsageError as error:
        _say(str(error))
        return EXIT_USAGE
    except GenreflowError as error:
        _say(str(error))
        return EXIT_FAILED
    verdict = "blessed" if results.gate.blessed else "not blessed"
    version = results.pushed_version
    _say(
        f"{results.candidate}: {verdict}; "
        + (f"pushed as {join(pipeline.models, version)}" if version else "nothing pushed")
    )
    _say(f"results are in {prepared.run_folder(pipeline.pipeline_root, pipeline.run_id)}")
    return 0


def _status(text: str) -> dict[str, Any]:
    try:
        status = json.loads(text)
    except ValueError as error:
        raise UsageError(f"--status: not JSON ({error})") from error
    if not isinstance(status, dict):
        raise UsageError("--status: a JSON object is needed")
    return status


def _say(text: str) -> None:
    for line in text.splitlines():
        print(f"genreflow: {printable(line)}", flush=True)


if __name__ == "__main__":
    exit_at_once(main(sys.argv[1:]))
