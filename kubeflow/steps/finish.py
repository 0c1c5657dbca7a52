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
    recorded_run,
)
from kubeflow.steps.recorded_run import NOT_STARTED, RecordedRun
from kubeflow.steps.step_log import EXIT_FAILED, EXIT_USAGE, say
from pipeline.process.libraries import exit_at_once
from pipeline.results.results_file import FILE_NAME as RESULTS_FILE

if TYPE_CHECKING:
    from pipeline.results.schema import Results

FAILED_FILE = "failed.json"
# Words for success in PipelineTaskFinalStatus. kfp documents SUCCEEDED; the driver passes the state
# of an execution in ML Metadata (backend/src/v2/driver/resolve.go, 2.14.0 to 2.17.0).
_SUCCESS_WORDS = ("SUCCEEDED", "COMPLETE", "CACHED")


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
        run = recorded_run.read_run(given.pipeline_root, given.run_id, url)
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
