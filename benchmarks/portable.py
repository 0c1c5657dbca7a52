"""Time and memory of the audio stage on Prism, Beam's portable runner, against one process.

    GENREFLOW_DATA=... python -m benchmarks.portable [--tracks 300] [--repeats 3] [--prism FILE]

The real FMA mp3s are linked under as many names as there are tracks, and the SpectrogramGen
executor runs on them: in one process ("direct", beam.workers = 1), on Prism with workers in the
run's own process ("loopback"), and on Prism with a worker of `genreflow beam-worker --pool`
("external"). Each run has its own processes, also of Prism and the pool, and the three alternate,
so that other work on the machine falls on all of them. Seconds are those of the executor, after the
imports of the run's own process; a worker of the pool imports TensorFlow within them. "peak memory"
is the largest sampled sum of the proportional share (PSS) of the run, Prism and the pool with all
their children.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import psutil

from benchmarks.shared import audio_stage, command, sampling

KINDS = ("direct", "loopback", "external")
SAMPLE_SECONDS = 0.25
START_SECONDS = 60.0


def main() -> None:
    parser = command.parser(__file__, __doc__)
    parser.add_argument("--tracks", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=3, help="runs of each kind")
    parser.add_argument("--prism", default=".tools/bin/prism", help="program, of ci_packages.sh")
    parser.add_argument("--one-run", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one_run:
        _one_run(**json.loads(arguments.one_run))
        return
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
    for _ in range(arguments.repeats):
        for kind, runs in found.items():
            runs.append(measure(kind, arguments.tracks, arguments.prism))
            print(f"{kind}: {runs[-1]}", file=sys.stderr, flush=True)
    print(f"| {arguments.tracks} tracks | seconds | all runs | peak memory, MB |")
    print("|---|---|---|---|")
    for kind, runs in found.items():
        every = sorted(run["seconds"] for run in runs)
        peak = statistics.median(run["peak_bytes"] for run in runs)
        print(
            f"| {kind} | {statistics.median(every):.1f} "
            f"| {', '.join(f'{seconds:.1f}' for seconds in every)} | {peak / 1e6:.0f} |"
        )


def measure(kind: str, tracks: int, prism: str) -> dict[str, float]:
    """Run once in processes of its own; return its "seconds" and "peak_bytes"."""
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = pathlib.Path(name)
        log = stack.enter_context((folder / "log").open("wb"))
        audio_stage.write_corpus(folder / "data", tracks)
        request: dict[str, Any] = {"folder": name, "tracks": tracks, "kind": kind}
        roots = []
        if kind != "direct":
            port = request["prism"] = _free_port()
            words = [prism, f"--job_port={port}", "--serve_http=false"]
            roots.append(stack.enter_context(_running(words, port, log)))
        if kind == "external":
            port = request["pool"] = _free_port()
            words = [str(command.GENREFLOW), "beam-worker", "--pool", str(port)]
            roots.append(stack.enter_context(_running(words, port, log)))
        words = [sys.executable, "-m", command.module(__file__), "--one-run", json.dumps(request)]
        run = subprocess.Popen(words, stdout=log, stderr=log)
        peak = 0
        while run.poll() is None:
            peak = max(peak, _memory([run.pid, *roots]))
            time.sleep(SAMPLE_SECONDS)
        if run.returncode:
            sys.exit((folder / "log").read_text(errors="replace")[-4000:])
        seconds = json.loads((folder / "seconds.json").read_text())
    return {"seconds": seconds, "peak_bytes": peak}


def _one_run(
    folder: str, tracks: int, kind: str, prism: int | None = None, pool: int | None = None
) -> None:
    """Run the executor in this process, and write its seconds."""
    from pipeline.config.beam import BeamSettings, pipeline_args
    from pipeline.config.beam_runners import PortableSettings

    if kind == "direct":
        beam = BeamSettings(runner="direct", workers=1)
    else:
        portable = PortableSettings(
            endpoint=f"localhost:{prism}",
            environment="external" if pool else "loopback",
            worker_address=f"localhost:{pool}" if pool else "",
        )
        beam = BeamSettings(runner="portable", portable=portable)
    place = pathlib.Path(folder)
    read, seconds = audio_stage.run(
        str(place / "data"),
        folder,
        place,
        pipeline_args(beam, tracks=tracks),
        store=str(place / "cache"),
    )
    if read != tracks:
        raise SystemExit(f"the executor read {read} of {tracks} tracks")
    (place / "seconds.json").write_text(json.dumps(seconds))


@contextlib.contextmanager
def _running(words: list[str], port: int, log: Any) -> Iterator[int]:
    """Run a program that listens on a port, and yield its process id."""
    process = subprocess.Popen(words, stdout=log, stderr=log, env=dict(os.environ))
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("localhost", port), 1.0):
                break
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"{words[0]} does not listen on port {port}")
            time.sleep(0.1)
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def _memory(roots: list[int]) -> int:
    """Return the sum of the memory of some processes and their children."""
    total = 0
    for root in roots:
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(root)
            for member in [process, *process.children(recursive=True)]:
                with contextlib.suppress(psutil.Error, OSError):
                    total += sampling.pss_bytes(member.pid)
    return total


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
