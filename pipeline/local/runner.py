"""Local runner: starts the worker process and follows its events."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from components.common.errors import GenreflowError
from components.common.progress import EVENT_FILE_VARIABLE
from components.storage.copies import MIN_FREE_BYTES, local_copies
from pipeline.config.schema import Config
from pipeline.graph.inputs import DataFacts
from pipeline.process import cuda
from pipeline.results.results_file import read_results
from pipeline.results.schema import Results
from pipeline.work_dir import WorkDir

WORKER = (sys.executable, "-m", "pipeline.local.worker")
POLL_SECONDS = 0.1
STOP_SECONDS = 10.0
MAX_LOGS = 20

OnEvent = Callable[[dict[str, Any]], None]


class RunFailed(GenreflowError):  # noqa: N818  the command line exits with status 1
    """Error for a run that ended without results; the message says where and why."""


def run(config: Config, facts: DataFacts, work_dir: WorkDir, on_event: OnEvent) -> Results:
    """Run the whole graph in a worker process and return its results.

    Args:
      config: with `dataset.data_dir` set.
      facts: of the configuration's data.
      work_dir: created, and locked by the caller.
      on_event: called with every event, and with `{"event": "tick"}` in between.

    Raises:
      RunFailed: the worker ended without results.
      KeyboardInterrupt: raised after the worker and its children have ended.
    """
    run_id = datetime.datetime.now().strftime("%Y-%m-%dT%H-%M-%S.%f")
    events = work_dir.logs / f"{run_id}.events.jsonl"
    log = work_dir.logs / f"{run_id}.log"
    request = work_dir.logs / f"{run_id}.request.json"
    _prune_logs(work_dir.logs)
    request.write_text(
        json.dumps(
            {
                "work_dir": str(work_dir.root),
                "run_id": run_id,
                "config": config.to_json(),
                "facts": facts.to_json(),
            }
        ),
        encoding="utf-8",
    )
    events.touch()
    failure: dict[str, Any] | None = None
    with local_copies(work_dir.copies):  # the worker's, which may be killed
        with log.open("wb") as output, _worker(request, output, events) as process:
            for event in _follow(process, events):
                if event["event"] == "failed":
                    failure = event
                on_event(event)
        free = shutil.disk_usage(work_dir.root).free
    if process.returncode == 0:
        return read_results(str(work_dir.root))
    text = _failure_text(failure, process.returncode, log)
    if free < MIN_FREE_BYTES:
        text = (
            f"{work_dir.root}: the disk is full ({free / 1e6:.0f} MB free); free some space and "
            f"rerun.\n{text}"
        )
    raise RunFailed(text)


@contextlib.contextmanager
def _worker(
    request: pathlib.Path, output: Any, events: pathlib.Path
) -> Iterator[subprocess.Popen[bytes]]:
    environment = {
        **os.environ,
        **cuda.library_path(os.environ),
        EVENT_FILE_VARIABLE: str(events),
        "PYTHONUNBUFFERED": "1",
        "TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "1"),
        "PYTHONPATH": os.pathsep.join(
            [str(pathlib.Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")]
        ).rstrip(os.pathsep),
    }
    process = subprocess.Popen(
        [*WORKER, str(request)],
        stdin=subprocess.PIPE,  # closed when this process ends; then the worker ends too
        stdout=output,
        stderr=subprocess.STDOUT,
        env=environment,
        start_new_session=True,  # Ctrl-C reaches only this process, which stops the worker in order
    )
    try:
        yield process
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the worker and every process that it started."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _follow(process: subprocess.Popen[bytes], events: pathlib.Path) -> Iterator[dict[str, Any]]:
    """Yield events as they arrive, until the worker has ended and all are read."""
    with events.open(encoding="utf-8") as lines:
        partial = ""
        while True:
            ended = process.poll() is not None
            while line := lines.readline():
                partial += line
                if partial.endswith("\n"):
                    yield json.loads(partial)
                    partial = ""
            if ended:
                return
            yield {"event": "tick"}
            time.sleep(POLL_SECONDS)


def _failure_text(failure: dict[str, Any] | None, status: int, log: pathlib.Path) -> str:
    where = f"{failure['node']}: " if failure and failure.get("node") else ""
    if failure and failure.get("message"):
        return f"{where}{failure['message']}"
    if failure:
        return (
            f"{where}{failure['detail']}\nThis looks like a bug in Genreflow; its traceback is in "
            f"{log}"
        )
    if status < 0:
        name = signal.Signals(-status).name
        hint = " (often for lack of memory)" if name == "SIGKILL" else ""
        return f"the worker process was killed by {name}{hint}; see its log {log}"
    return f"the worker process ended with status {status}; see its log {log}"


def _prune_logs(folder: pathlib.Path) -> None:
    """Delete all but the last runs' logs."""
    runs = sorted({path.name.split(".log")[0] for path in folder.glob("*.log")})
    for run_id in runs[: -MAX_LOGS + 1]:
        for path in folder.glob(f"{run_id}.*"):
            path.unlink(missing_ok=True)
