"""Child processes of the command line that do heavy work, and report progress by events.

Their output goes to a log, so nothing of TensorFlow's or Beam's reaches the screen, and a crash in
native code is an exit status. A child ends with its parent, however that ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from components.common import progress
from components.common.progress import EVENT_FILE_VARIABLE
from pipeline.process import cuda, failures

POLL_SECONDS = 0.1
STOP_SECONDS = 10.0


@contextlib.contextmanager
def child_process(
    command: Sequence[str], output: Any, events: pathlib.Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a child, and end it and everything that it started at the end of the block.

    Args:
      command: the program and its arguments.
      output: an open file for its output.
      events: the file for its events (components.common.progress).
    """
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
        command,
        stdin=subprocess.PIPE,  # closed when this process ends; then the child ends too
        stdout=output,
        stderr=subprocess.STDOUT,
        env=environment,
        start_new_session=True,  # Ctrl-C reaches only this process, which stops the child in order
    )
    try:
        yield process
    finally:
        _stop(process)


def follow(process: subprocess.Popen[bytes], events: pathlib.Path) -> Iterator[dict[str, Any]]:
    """Yield a child's events as they arrive, until it has ended and all are read.

    In between comes `{"event": "tick"}`.
    """
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


def failure_text(failure: Mapping[str, Any] | None, status: int, log: pathlib.Path) -> str:
    """Return why a child failed.

    Args:
      failure: its event "failed", if there was one.
      status: its exit status.
      log: the file with its output.
    """
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


def reporting_failure(work: Callable[[], object]) -> int:
    """Do a child's work, report a failure as an event, and return the exit status."""
    try:
        work()
    except BaseException as error:
        traceback.print_exc()
        cause = failures.find_user_error(error)
        progress.report(
            "failed",
            node=getattr(error, "node", None),
            message=str(cause) if cause else None,
            detail=None if cause else failures.one_line(error),
        )
        return 1
    return 0


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a child and every process that it started."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
