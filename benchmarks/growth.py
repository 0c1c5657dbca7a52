"""How the audio stage grows with the corpus: time a track, and peak memory.

    GENREFLOW_DATA=... python -m benchmarks.growth [--tracks 2000 20000] [--repeats 3]

Links the real FMA mp3s again and again under new names and runs the SpectrogramGen executor
on the list as the pipeline would (the same Beam runner, shards, clip store and all). Each
run is a process of its own, sizes alternate, and the figures are medians. "marginal" is
what one more track costs from the smaller to the larger corpus, and within the larger one
from quarter to quarter, in processor time (all processes together, which other work on the
machine moves least) and by the clock. "peak memory" is the proportional share (PSS) of
all processes at its highest, sampled.

The repeated files would all be duplicates: their fingerprints are salted with the ids, so
that the search for duplicates does its usual work and finds none.
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

from components.common.progress import EVENT_FILE_VARIABLE

ROOT = pathlib.Path(__file__).resolve().parents[1]


SAMPLE_SECONDS = 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tracks", type=int, nargs=2, default=(2000, 20000))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--runner", default="auto", help="beam.runner")
    parser.add_argument("--one-run", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one_run:
        folder, tracks = arguments.one_run
        _one_run(pathlib.Path(folder), int(tracks), arguments.runner)
        return
    small, large = arguments.tracks
    runs: dict[int, list[dict[str, Any]]] = {small: [], large: []}
    for _ in range(arguments.repeats):
        for tracks, found in runs.items():
            found.append(_in_process(tracks, arguments.runner))
            print(f"{tracks} tracks: {found[-1]}", file=sys.stderr, flush=True)
    _print_tables(runs, small, large)


def _print_tables(runs: dict[int, list[dict[str, Any]]], small: int, large: int) -> None:
    median = {
        tracks: {
            key: statistics.median(run[key] for run in found)
            for key in ("seconds", "cpu_seconds", "peak_bytes")
        }
        for tracks, found in runs.items()
    }
    print("| tracks | clock, s | processors, s | processors, ms a track | peak memory, MB |")
    print("|---|---|---|---|---|")
    for tracks, value in median.items():
        print(
            f"| {tracks} | {value['seconds']:.0f} | {value['cpu_seconds']:.0f} "
            f"| {1000 * value['cpu_seconds'] / tracks:.1f} | {value['peak_bytes'] / 1e6:.0f} |"
        )
    print()
    print("| marginal, ms a track | processors | clock |")
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


def _in_process(tracks: int, runner: str) -> dict[str, Any]:
    """One run in a process of its own, watched from here."""
    with tempfile.TemporaryDirectory() as folder:
        events = pathlib.Path(folder, "events.jsonl")
        events.touch()
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "TF_CPP_MIN_LOG_LEVEL": "2",
            EVENT_FILE_VARIABLE: str(events),
        }
        command = [sys.executable, __file__, "--runner", runner, "--one-run", folder, str(tracks)]
        log = pathlib.Path(folder, "log")
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, env=environment
            )
            samples = list(_watch(process, events))
        if process.returncode:
            sys.exit(log.read_text(errors="replace")[-4000:])
    begun = next(sample for sample in samples if sample.tracks)
    last = samples[-1]
    return {
        "seconds": last.clock - begun.clock,
        "cpu_seconds": last.cpu - begun.cpu,
        "peak_bytes": max(sample.memory for sample in samples),
        "quarters": [
            _marginal(samples, quarter * tracks / 4, (quarter + 1) * tracks / 4)
            for quarter in range(4)
        ],
    }


class _Sample(NamedTuple):
    clock: float
    cpu: float
    memory: int
    tracks: int


def _watch(process: subprocess.Popen[bytes], events: pathlib.Path) -> Iterator[_Sample]:
    """Clock, processor seconds and memory of a process and its children, and tracks done."""
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
                tracks += event["event"] == "progress" and event.get("add", 0)
            yield _Sample(time.monotonic(), sum(spent.values()), memory, tracks)
            time.sleep(SAMPLE_SECONDS)


def _pss(pid: int) -> int:
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return 1024 * int(line.split()[1])
    return 0


def _marginal(samples: list[_Sample], first: float, last: float) -> dict[str, float]:
    """Milliseconds a track between two numbers of tracks done."""
    inside = [sample for sample in samples if first <= sample.tracks <= last and sample.tracks]
    a, b = inside[0], inside[-1]
    tracks = max(1, b.tracks - a.tracks)
    return {
        "cpu_ms": 1000 * (b.cpu - a.cpu) / tracks,
        "clock_ms": 1000 * (b.clock - a.clock) / tracks,
    }


def _write_corpus(folder: pathlib.Path, tracks: int) -> None:
    source = pathlib.Path(os.environ["GENREFLOW_DATA"], "fma", "fma_small", "000")
    files = sorted(source.glob("*.mp3"))
    copies = [shutil.copy(file, folder.parent / file.name) for file in files]
    folder.mkdir()
    with (folder / "manifest.csv").open("w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["uri", "genre"])
        for index in range(tracks):
            name = f"{index:06d}.mp3"
            os.link(copies[index % len(copies)], folder / name)
            rows.writerow([name, f"genre {index % 8}"])


def _one_run(folder: pathlib.Path, tracks: int, runner: Any) -> None:
    """Runs the executor on `tracks` tracks in this process."""
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
    beam = BeamSettings(runner=runner)
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
        raise SystemExit(f"{read} tracks were read of {tracks}")


if __name__ == "__main__":
    main()
