"""Growth of the audio stage with the corpus: time a track, and peak memory.

    GENREFLOW_DATA=... python -m benchmarks.growth [--tracks 2000 20000] [--processes 1 2]
        [--repeats 3] [--clips 4]

The program links the real FMA mp3s many times under new names and runs the SpectrogramGen executor
on them as the pipeline does: same Beam runner, shards and clip store. Each run has a process of
its own, sizes and numbers of Beam's processes alternate, and figures are medians. With one process
Beam works in the run's own. CPU time counts all processes, and depends least on other work on the
machine. "peak memory" is the largest sampled sum of all processes' proportional share (PSS).

- "whole" is everything after the imports: listing, workers' start, audio, duplicates. "serial" is
  what only the run's own process does: all but the time from the job's start to its last track.
- "marginal" is the cost of one more track, from the smallest to the largest corpus and in each
  quarter of the largest one.
- Several processes pay when the marginal time that they save is more than their start takes; the
  last table has the number of tracks (beam.runner = "auto" follows it).
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

from benchmarks.shared import audio_stage, command
from benchmarks.shared.sampling import Sample, watch
from components.common import progress
from components.common.progress import EVENT_FILE_VARIABLE

MEASURES = ("whole_seconds", "serial_seconds", "cpu_seconds", "cpu_ms", "peak_bytes")


def main() -> None:
    parser = command.parser(__file__, __doc__)
    parser.add_argument("--tracks", type=int, nargs="+", default=[2000, 20000])
    parser.add_argument("--processes", type=int, nargs="+", default=[1], help="of Beam")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each size")
    parser.add_argument("--clips", type=int, default=4, help="clips of a track")
    parser.add_argument("--one-run", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one_run:
        _one_run(pathlib.Path(arguments.one_run), Size(**json.loads(sys.stdin.read())))
        return
    sizes = [
        Size(tracks, processes, arguments.clips)
        for tracks in sorted(arguments.tracks)
        for processes in arguments.processes
    ]
    runs: dict[Size, list[dict[str, Any]]] = {size: [] for size in sizes}
    for _ in range(arguments.repeats):
        for size, found in runs.items():
            found.append(measure(size))
            print(f"{size}: {found[-1]}", file=sys.stderr, flush=True)
    _print_tables(runs)


@dataclasses.dataclass(frozen=True)
class Size:
    """Size of a run: tracks, Beam's processes, and clips of a track."""

    tracks: int
    processes: int
    clips: int


def _print_tables(runs: dict[Size, list[dict[str, Any]]]) -> None:
    median = {
        size: {key: statistics.median(run[key] for run in found) for key in MEASURES}
        for size, found in runs.items()
    }
    print("| tracks | processes | whole, s | serial, s | CPU time, s | ms/track | peak, MB |")
    print("|---|---|---|---|---|---|---|")
    for size, value in median.items():
        print(
            f"| {size.tracks} | {size.processes} | {value['whole_seconds']:.0f} "
            f"| {value['serial_seconds']:.1f} | {value['cpu_seconds']:.0f} "
            f"| {value['cpu_ms']:.1f} "
            f"| {value['peak_bytes'] / 1e6:.0f} |"
        )
    print()
    print("| processes | marginal, ms/track | CPU time | wall time |")
    print("|---|---|---|---|")
    for processes in sorted({size.processes for size in runs}):
        own = [size for size in runs if size.processes == processes]
        small, large = own[0], own[-1]
        if small != large:
            cpu, clock = (
                1000 * (median[large][key] - median[small][key]) / (large.tracks - small.tracks)
                for key in ("cpu_seconds", "whole_seconds")
            )
            print(f"| {processes} | {small.tracks} to {large.tracks} | {cpu:.1f} | {clock:.1f} |")
        for quarter in range(4):
            cpu, clock = (
                statistics.median(run["quarters"][quarter][key] for run in runs[large])
                for key in ("cpu_ms", "clock_ms")
            )
            what = f"quarter {quarter + 1} of {large.tracks}"
            if math.isnan(cpu):
                continue  # too few tracks
            print(f"| {processes} | {what} | {cpu:.1f} | {clock:.1f} |")
    _print_break_even({size: value["whole_seconds"] for size, value in median.items()})


def _print_break_even(seconds: dict[Size, float]) -> None:
    """Print from how many tracks on several processes take less time than one."""
    lines = {}
    for processes in sorted({size.processes for size in seconds}):
        own = {size.tracks: s for size, s in seconds.items() if size.processes == processes}
        if len(own) < 2:
            return
        slope, start = statistics.linear_regression(list(own), list(own.values()))
        lines[processes] = start, slope
    if len(lines) < 2:
        return
    print()
    print("| processes | start, s | ms/track | less time than one process from, tracks |")
    print("|---|---|---|---|")
    first = next(iter(lines.values()))
    for processes, (start, slope) in lines.items():
        saved = first[1] - slope
        tracks = f"{(start - first[0]) / saved:.0f}" if saved > 0 else ""
        print(f"| {processes} | {start:.1f} | {1000 * slope:.1f} | {tracks} |")


def measure(size: Size) -> dict[str, Any]:
    """Run once in a separate process, and return its figures.

    Returns:
      MEASURES, and cpu_ms and clock_ms of each of the four "quarters".
    """
    with tempfile.TemporaryDirectory() as folder:
        events = pathlib.Path(folder, "events.jsonl")
        events.touch()
        environment = {
            **os.environ,
            "TF_CPP_MIN_LOG_LEVEL": "2",
            EVENT_FILE_VARIABLE: str(events),
        }
        words = [sys.executable, "-m", command.module(__file__), "--one-run", folder]
        log = pathlib.Path(folder, "log")
        with log.open("wb") as output:
            process = subprocess.Popen(
                words,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
            )
            assert process.stdin
            process.stdin.write(json.dumps(dataclasses.asdict(size)).encode())
            process.stdin.close()
            samples = list(watch(process, events))
        if process.returncode:
            sys.exit(log.read_text(errors="replace")[-4000:])
        told = list(_events(events))
    (whole,) = (event["seconds"] for event in told if event["event"] == "whole")
    audio = [event["time"] for event in told if event["event"] == "progress"]
    begun = next(sample for sample in samples if sample.tracks)
    last = samples[-1]
    return {
        "whole_seconds": whole,
        "serial_seconds": whole - (audio[-1] - audio[0]),
        "cpu_seconds": last.cpu - begun.cpu,
        # The tracks before the first sample were done before the clock began.
        "cpu_ms": 1000 * (last.cpu - begun.cpu) / max(1, size.tracks - begun.tracks),
        "peak_bytes": max(sample.memory for sample in samples),
        "quarters": [
            _marginal(samples, quarter * size.tracks / 4, (quarter + 1) * size.tracks / 4)
            for quarter in range(4)
        ],
    }


def _events(path: pathlib.Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text().splitlines():
        yield json.loads(line)


def _marginal(samples: list[Sample], first: float, last: float) -> dict[str, float]:
    """Return milliseconds a track between two numbers of finished tracks; NaN without samples."""
    inside = [sample for sample in samples if first <= sample.tracks <= last and sample.tracks]
    tracks = inside[-1].tracks - inside[0].tracks if inside else 0
    if not tracks:
        return dict.fromkeys(("cpu_ms", "clock_ms"), math.nan)
    a, b = inside[0], inside[-1]
    return {
        "cpu_ms": 1000 * (b.cpu - a.cpu) / tracks,
        "clock_ms": 1000 * (b.clock - a.clock) / tracks,
    }


def _one_run(folder: pathlib.Path, size: Size) -> None:
    """Run the executor in this process."""
    from pipeline.config.beam import BeamSettings, pipeline_args

    audio_stage.write_corpus(folder / "data", size.tracks)
    beam = BeamSettings(runner="direct", workers=size.processes)
    read, seconds = audio_stage.run(
        str(folder / "data"),
        str(folder),
        folder,
        pipeline_args(beam, tracks=size.tracks),
        store=str(folder / "cache"),
        clips_per_track=size.clips,
    )
    progress.report("whole", seconds=seconds)
    if read != size.tracks:
        raise SystemExit(f"the executor read {read} of {size.tracks} tracks")


if __name__ == "__main__":
    main()
