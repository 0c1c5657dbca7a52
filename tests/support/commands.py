"""Genreflow's commands in processes of their own, and settings that keep their runs short."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys

# A shell that starts the tests in its background makes them ignore Ctrl-C, and processes inherit
# that. Commands that tests start must take Ctrl-C as in the foreground.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

GENREFLOW = str(pathlib.Path(sys.executable).with_name("genreflow"))

# A gate that blesses every model that is not already serving, and two quick baselines: for tests
# of everything else, on data that no network can learn from.
OPEN_GATE = """
[gate]
floor = 0.0
beats_baseline = false
holds_ensemble = false
holds_serving = false
recall_floor = 0.0
[baselines]
models = ["dummy", "knn"]
"""

# One small network, one epoch.
QUICK = f"""{OPEN_GATE}
[dataset]
kind = "fma"
[split]
policy = "official"
[training]
epochs = 1
[models.cnn_small]
"""


def start(*arguments: object) -> subprocess.Popen[str]:
    """Start a genreflow command in a process group of its own, with its output in a pipe."""
    return subprocess.Popen(
        [GENREFLOW, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "COLUMNS": "100"},
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    """Wait for a command, check that it succeeded, and return its output."""
    output, _ = process.communicate(timeout=1200)
    assert process.returncode == 0, output
    assert "Traceback" not in output
    return output


def worker_pids(work_dir: pathlib.Path) -> list[int]:
    """Return the ids of the pipeline workers that run in a work folder."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"pipeline.local.worker" in words and str(work_dir).encode() in b" ".join(words):
            found.append(int(path.parent.name))
    return found
