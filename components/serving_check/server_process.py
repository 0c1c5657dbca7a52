"""Model server in a process of its own.

It is started as a user starts it, by `python -m serving.server`, so the test covers the command
that is deployed, and components need not import the server's code.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

from components.common.escape import printable
from components.serving_check.outcome import CheckFailed

SERVER = (sys.executable, "-m", "serving.server")
# The folder of the packages, in a checkout and in site-packages.
ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
POLL_SECONDS = 0.1
STOP_SECONDS = 10.0
# Part of the server's output that is quoted.
LAST_BYTES, LAST_LINES, LAST_CHARACTERS = 8192, 4, 600
# With an API key the server would require it of every request; it listens on loopback only. A
# model server needs no keys to object storage.
_NOT_INHERITED = ("GENREFLOW_API_KEY", "AWS_")


@dataclasses.dataclass(frozen=True)
class ServerUnderTest:
    """A running server.

    Attributes:
      engine: "genreflow" or "tensorflow-serving".
      host: address that it listens on.
      port: of gRPC.
      rest_port: of REST.
    """

    engine: str
    host: str
    port: int
    rest_port: int
    _process: subprocess.Popen[bytes]
    _log: pathlib.Path

    def exit_reason(self) -> str:
        """Return how the server exited, with its last output; "" while it runs."""
        status = self._process.poll()
        return "" if status is None else _describe_exit(status, self._log)


@contextlib.contextmanager
def running(
    model_dir: pathlib.Path,
    scratch: pathlib.Path,
    *,
    engine: str,
    start_seconds: float,
    options: Sequence[str] = (),
    stop: threading.Event | None = None,
) -> Iterator[ServerUnderTest]:
    """Run a server of one model on free loopback ports; it is always shut down at the end.

    Args:
      model_dir: the model's folder of versions.
      scratch: an empty folder, for its log and other files; the server runs in it.
      engine: as in the [serving] table.
      start_seconds: time limit until it is ready.
      options: further options of the server.
      stop: set it to end the wait for the server.

    Raises:
      CheckFailed: it exited or was not ready in time; the message quotes its output.
    """
    ready, log = scratch / "ready.json", scratch / "server.log"
    command = [
        *SERVER,
        *("--model-dir", str(model_dir.absolute()), "--host", "127.0.0.1"),
        *("--port", "0", "--rest-port", "0"),
        *("--engine", engine, "--ready-file", str(ready), "--exit-with-parent"),
        *options,
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=scratch,
            env=_environment(),
            stdin=subprocess.PIPE,  # closed when this process dies; the server then exits
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that its child processes can be stopped too
        )
        try:
            found = _wait(process, ready, log, start_seconds, stop)
            yield ServerUnderTest(
                str(found["engine"]),
                str(found["host"]),
                int(found["port"]),
                int(found["rest_port"]),
                process,
                log,
            )
        finally:
            _stop(process)


def last_lines(log: pathlib.Path) -> str:
    """Return the end of a server's output, escaped and on one line; "" if there is none."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - LAST_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
    last = [printable(line.strip()) for line in lines if line.strip()][-LAST_LINES:]
    return "; ".join(last)[-LAST_CHARACTERS:]


def _environment() -> dict[str, str]:
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(_NOT_INHERITED)}
    return {
        **inherited,
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONUNBUFFERED": "1",
        "TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2"),
        # This process has reserved the GPUs' memory.
        "CUDA_VISIBLE_DEVICES": "-1",
    }


def _wait(
    process: subprocess.Popen[bytes],
    ready: pathlib.Path,
    log: pathlib.Path,
    start_seconds: float,
    stop: threading.Event | None,
) -> dict[str, Any]:
    deadline = time.monotonic() + start_seconds
    while not ready.exists():  # the server renames it into place
        status = process.poll()
        if status is not None:
            raise CheckFailed(_describe_exit(status, log))
        if stop is not None and stop.is_set():
            raise CheckFailed("the server was stopped before it was ready")
        if time.monotonic() > deadline:
            raise CheckFailed(
                f"the server was not ready within {start_seconds:g} s (serving.start_seconds)"
                + _quote(log)
            )
        time.sleep(POLL_SECONDS)
    found: dict[str, Any] = json.loads(ready.read_text(encoding="utf-8"))
    return found


def _describe_exit(status: int, log: pathlib.Path) -> str:
    if status >= 0:
        return f"the server exited with status {status}{_quote(log)}"
    return f"the server was killed by {signal.Signals(-status).name}{_quote(log)}"


def _quote(log: pathlib.Path) -> str:
    lines = last_lines(log)
    return f"; its last output: {lines}" if lines else ", without any output"


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Stop the server and its child processes."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
    process.wait()
    if process.stdin:
        process.stdin.close()
