"""A server in a process of its own, which lives no longer than it is needed.

It is started as a user starts it, by `python -m serving.server`: what is tried is what will
serve, and components know nothing of the server's code.
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
import time
from collections.abc import Iterator
from typing import Any

from components.common.escape import printable
from components.serving_check.outcome import CheckFailed

SERVER = (sys.executable, "-m", "serving.server")
# Where the packages lie, from a checkout as from site-packages.
ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
POLL_SECONDS = 0.1
STOP_SECONDS = 10.0
# How much of what a server printed is told.
LAST_BYTES, LAST_LINES, LAST_LETTERS = 8192, 4, 600
# A key of the server's would make it ask for it, and this one answers on the loopback alone;
# keys to object storage are nothing that a model's server needs.
_NOT_INHERITED = ("GENREFLOW_API_KEY", "AWS_")


@dataclasses.dataclass(frozen=True)
class Server:
    """Where a server answers; `engine` is what it is."""

    engine: str
    host: str
    port: int
    rest_port: int
    _process: subprocess.Popen[bytes]
    _log: pathlib.Path

    def last_words(self) -> str:
        """How it ended and what it printed last, in a sentence; "" while it runs."""
        status = self._process.poll()
        return "" if status is None else _ended(status, self._log)


@contextlib.contextmanager
def running(
    model_dir: pathlib.Path,
    scratch: pathlib.Path,
    *,
    engine: str,
    start_seconds: float,
) -> Iterator[Server]:
    """Starts a server of one model on free loopback ports, and ends it in any case.

    Args:
      model_dir: the model's folder of versions.
      scratch: an empty folder for its log and the like.
      engine: as in the [serving] table.
      start_seconds: how long it may take until it serves.

    Raises:
      CheckFailed: it ended, or did not serve in time; with its own last words.
    """
    ready, log = scratch / "ready.json", scratch / "server.log"
    command = [
        *SERVER,
        *("--model-dir", str(model_dir), "--host", "127.0.0.1", "--port", "0", "--rest-port", "0"),
        *("--engine", engine, "--ready-file", str(ready), "--exit-with-parent"),
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=scratch,
            env=_environment(),
            stdin=subprocess.PIPE,  # closed when this process dies, however: the server then ends
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # what it starts itself can be ended with it
        )
        try:
            found = _wait(process, ready, log, start_seconds)
            yield Server(
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
    """The end of what a server printed, on one line and inert; "" if it printed nothing."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - LAST_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
    told = [printable(line.strip()) for line in lines if line.strip()][-LAST_LINES:]
    return "; ".join(told)[-LAST_LETTERS:]


def _environment() -> dict[str, str]:
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(_NOT_INHERITED)}
    return {
        **inherited,
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONUNBUFFERED": "1",
        "TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2"),
        # This process holds the GPUs' memory; a second one would find none left.
        "CUDA_VISIBLE_DEVICES": "-1",
    }


def _wait(
    process: subprocess.Popen[bytes],
    ready: pathlib.Path,
    log: pathlib.Path,
    start_seconds: float,
) -> dict[str, Any]:
    deadline = time.monotonic() + start_seconds
    while not ready.exists():  # it is renamed into place
        status = process.poll()
        if status is not None:
            raise CheckFailed(_ended(status, log))
        if time.monotonic() > deadline:
            raise CheckFailed(
                f"the server did not serve within {start_seconds:g} s (serving.start_seconds)"
                + _said(log)
            )
        time.sleep(POLL_SECONDS)
    found: dict[str, Any] = json.loads(ready.read_text(encoding="utf-8"))
    return found


def _ended(status: int, log: pathlib.Path) -> str:
    how = f"with status {status}" if status >= 0 else f"by {signal.Signals(-status).name}"
    return f"the server ended {how}{_said(log)}"


def _said(log: pathlib.Path) -> str:
    lines = last_lines(log)
    return f"; it said: {lines}" if lines else ", without a word"


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ends the server and whatever it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
    process.wait()
    if process.stdin:
        process.stdin.close()
