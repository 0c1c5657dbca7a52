"""Growth of the audio stage with the corpus: time a track, and peak memory.

    GENREFLOW_DATA=... python -m benchmarks.growth [--tracks 2000 20000] [--repeats 3]

The program links the real FMA mp3s many times under new names and runs the SpectrogramGen executor
on them as the pipeline does: same Beam runner, shards and clip store. Each run has a process of
its own, sizes alternate, and figures are medians. "marginal" is the cost of one more track, from
the smaller to the larger corpus and in each quarter of the larger one. CPU time counts all
processes, and depends least on other work on the machine. "peak memory" is the largest sampled sum
of all processes' proportional share (PSS).

All repeated files would be duplicates. Their fingerprints are salted with the track ids, so the
search for duplicates does its usual work and finds none.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import hashlib
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import psutil

from benchmarks.shared import command
from components.common.progress import EVENT_FILE_VARIABLE

SAMPLE_SECONDS = 0.5


def main() -> None:
    parser = command.parser(__file__, __doc__)
    parser.add_argument("--tracks", type=int, nargs=2, default=(2000, 20000))
    parser.add_argument("--repeats", type=int, default=3, help="runs of each size")
    parser.add_argument("--runner", default="auto", help="the setting beam.runner")
    parser.add_argument("--workers", type=int, default=0, help="the setting beam.workers")
    parser.add_argument("--one-run", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one_run:
        folder, tracks = arguments.one_run
        _one_run(pathlib.Path(folder), int(tracks), arguments.runner, arguments.workers)
        return
    small, large = arguments.tracks
    runs: dict[int, list[dict[str, Any]]] = {small: [], large: []}
    for _ in range(arguments.repeats):
        for tracks, found in runs.items():
            found.append(_in_process(tracks, arguments.runner, arguments.workers))
            print(f"{tracks} tracks: {found[-1]}", file=sys.stderr, flush=True)
    _print_tables(runs, small, large)


def _print_tables(runs: dict[int, list[dict[str, Any]]], small: int, large: int) -> None:
    median = {
        tracks: {
            key: statistics.median(run[key] for run in found)
            for key in ("seconds", "cpu_seconds", "cpu_ms", "peak_bytes")
        }
        for tracks, found in runs.items()
    }
    print("| tracks | wall time, s | CPU time, s | CPU time, ms/track | peak memory, MB |")
    print("|---|---|---|---|---|")
    for tracks, value in median.items():
        print(
            f"| {tracks} | {value['seconds']:.0f} | {value['cpu_seconds']:.0f} "
            f"| {value['cpu_ms']:.1f} | {value['peak_bytes'] / 1e6:.0f} |"
        )
    print()
    print("| marginal, ms/track | CPU time | wall time |")
    print("|---|---|---|")
    more = large - small
    cpu, clock = (
        1000 * (median[large][key] - median[small][key]) / more
        for key in ("cpu_seconds", "seconds")
    )
    print(f"| {small} to {large} | {cpu:.1f} | {clock:.1f} |")
    for quarter in range(4):
        cpu, clock = (
            statistics.median(run["quarters"][quarter][key] for run in runs[large])
            for key in ("cpu_ms", "clock_ms")
        )
        print(f"| quarter {quarter + 1} of {large} | {cpu:.1f} | {clock:.1f} |")


def _in_process(tracks: int, runner: str, workers: int) -> dict[str, Any]:
    """Run once in a separate process, and return its figures."""
    with tempfile.TemporaryDirectory() as folder:
        events = pathlib.Path(folder, "events.jsonl")
        events.touch()
        environment = {
            **os.environ,
            "TF_CPP_MIN_LOG_LEVEL": "2",
            EVENT_FILE_VARIABLE: str(events),
        }
        words = [sys.executable, "-m", command.module(__file__)]
        words += ["--runner", runner, "--workers", str(workers), "--one-run", folder, str(tracks)]
        log = pathlib.Path(folder, "log")
        with log.open("wb") as output:
            process = subprocess.Popen(
                words, stdout=output, stderr=subprocess.STDOUT, env=environment
            )
            samples = list(_watch(process, events))
        if process.returncode:
            sys.exit(log.read_text(errors="replace")[-4000:])
    begun = next(sample for sample in samples if sample.tracks)
    last = samples[-1]
    return {
        "seconds": last.clock - begun.clock,
        "cpu_seconds": last.cpu - begun.cpu,
        # The tracks before the first sample were done before the clock began.
        "cpu_ms": 1000 * (last.cpu - begun.cpu) / max(1, tracks - begun.tracks),
        "peak_bytes": max(sample.memory for sample in samples),
        "quarters": [
            _marginal(samples, quarter * tracks / 4, (quarter + 1) * tracks / 4)
            for quarter in range(4)
        ],
    }


class _Sample(NamedTuple):
    """Sample of a running process: seconds, CPU seconds, bytes, and tracks done so far."""

    clock: float
    cpu: float
    memory: int
    tracks: int


def _watch(process: subprocess.Popen[bytes], events: pathlib.Path) -> Iterator[_Sample]:
    """Sample a process and its children until it ends."""
    spent: dict[tuple[int, float], float] = {}
    root = psutil.Process(process.pid)
    tracks = 0
    with events.open() as lines:
        while process.poll() is None:
            memory = 0
            for member in [root, *root.children(recursive=True)]:
                with contextlib.suppress(psutil.Error, OSError):
                    times = member.cpu_times()
                    spent[member.pid, member.create_time()] = times.user + times.system
                    memory += _pss(member.pid)
            for line in lines:
                event = json.loads(line)
                tracks = max(tracks, event["event"] == "progress" and event.get("done", 0))
            yield _Sample(time.monotonic(), sum(spent.values()), memory, tracks)
            time.sleep(SAMPLE_SECONDS)


def _pss(pid: int) -> int:
    """Return the proportional share of a process's memory, in bytes."""
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return 1024 * int(line.split()[1])
    return 0


def _marginal(samples: list[_Sample], first: float, last: float) -> dict[str, float]:
    """Return milliseconds a track between two numbers of finished tracks."""
    inside = [sample for sample in samples if first <= sample.tracks <= last and sample.tracks]
    if not inside:
        sys.exit(f"no sample between {first:.0f} and {last:.0f} tracks: use more --tracks")
    a, b = inside[0], inside[-1]
    tracks = max(1, b.tracks - a.tracks)
    return {
        "cpu_ms": 1000 * (b.cpu - a.cpu) / tracks,
        "clock_ms": 1000 * (b.clock - a.clock) / tracks,
    }


def _write_corpus(folder: pathlib.Path, tracks: int) -> None:
    files = command.fma_files()
    copies = [shutil.copy(file, folder.parent / file.name) for file in files]
    folder.mkdir()
    with (folder / "manifest.csv").open("w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["uri", "genre"])
        for index in range(tracks):
            name = f"{index:06d}.mp3"
            os.link(copies[index % len(copies)], folder / name)
            rows.writerow([name, f"genre {index % 8}"])


def _one_run(folder: pathlib.Path, tracks: int, runner: Any, workers: int) -> None:
    """Run the executor on `tracks` tracks in this process."""
    import unittest.mock

    from tfx.types import standard_artifacts

    from components.artifacts.types import Rejects
    from components.audio.duplicates import find_duplicates
    from components.audio.params import AudioParams
    from components.datasets.corpus import load_corpus
    from components.datasets.settings import DatasetSettings, SplitSettings
    from components.spectrogram_gen import executor
    from components.spectrogram_gen.component import SpectrogramGen
    from pipeline.config.beam import BeamSettings, pipeline_args

    _write_corpus(folder / "data", tracks)
    dataset = DatasetSettings(kind="manifest", data_dir=str(folder / "data"))
    split = SplitSettings(policy="by_track")
    beam = BeamSettings(runner=runner, workers=workers)
    component = SpectrogramGen(
        dataset=dataset,
        split=split,
        audio=AudioParams(),
        manifest_digest=load_corpus(dataset, split).digest,
        shard_tracks=beam.shard_tracks,
        store=str(folder / "cache"),
    )
    outputs = {"examples": [standard_artifacts.Examples()], "rejects": [Rejects()]}
    for name, (artifact,) in outputs.items():
        artifact.uri = str(folder / name)
        (folder / name).mkdir()

    def salted(
        entries: Iterable[tuple[str, str, str]], *further: Any, **named: Any
    ) -> dict[str, str]:
        own = (
            (track_id, path, hashlib.sha256((track_id + fingerprint).encode()).hexdigest()[:16])
            for track_id, path, fingerprint in entries
        )
        return find_duplicates(own, *further, **named)

    context = executor.Executor.Context(
        beam_pipeline_args=pipeline_args(beam, tracks=tracks),
        tmp_dir=str(folder),
        unique_id="growth",
    )
    with unittest.mock.patch.object(executor, "find_duplicates", salted):
        executor.Executor(context).Do({}, outputs, dict(component.spec.exec_properties))
    read = json.loads((folder / "rejects" / "summary.json").read_text())["tracks_read"]
    if read != tracks:
        raise SystemExit(f"the executor read {read} of {tracks} tracks")


if __name__ == "__main__":
    main()
