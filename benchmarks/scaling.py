"""Cost model of Beam's jobs, fitted here: time, memory, bytes, requests and money by tracks.

    GENREFLOW_DATA=... python -m benchmarks.scaling [--tracks 2000 10000] [--check 100000]

The audio stage runs on the real FMA mp3s under many names, in one process, with two numbers of
tracks; the difference is what a track costs. A short run in two processes shows what their start
takes. It runs once more with everything in an S3 server
(moto's), whose requests are counted. `genreflow label` runs with cnn_small on --label-tracks of the
same mp3s. Then the model of benchmarks.shared.cost_model is printed for catalogues of several sizes
on named machines; --check runs the audio stage on another number of tracks and compares.

Prices are list prices of AWS in us-east-1 (2025) without discounts, as named below: put in yours.
The core of another machine is taken to be as fast as one of this machine.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from typing import Any

from benchmarks import growth, label
from benchmarks.shared import audio_stage, command
from benchmarks.shared.cost_model import (
    GB,
    HOUR,
    Constants,
    Machines,
    Prices,
    estimate,
)

GBIT = 1e9 / 8

MACHINES = (
    Machines("c7i.large", 1, 2, 0.08925, 0.78 * GBIT),
    Machines("c7i.2xlarge", 1, 8, 0.357, 2.5 * GBIT),
    Machines("c7i.8xlarge", 4, 32, 1.428, 12.5 * GBIT),
)
PRICES = Prices(per_read=0.0004 / 1000, per_write=0.005 / 1000, per_gb_month=0.023)
CATALOGUES = (8_000, 100_000, 10_000_000)

# Of the object store's operations, those that cost as much as a write. Deleting is free.
_WRITES = ("PutObject", "ListObjectsV2", "CreateMultipartUpload", "UploadPart")
_READS = ("GetObject", "HeadObject")

# Tracks that show how long worker processes take to start.
_FEW = 300

# Files that are listed to see what a file of a catalogue costs.
_LISTED = 20_000


def main() -> None:
    parser = command.parser(__file__, __doc__)
    parser.add_argument("--tracks", type=int, nargs=2, default=(2000, 10000))
    parser.add_argument("--label-tracks", type=int, default=300)
    parser.add_argument("--check", type=int, help="number of tracks to compare the model with")
    parser.add_argument("--requests", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.requests:
        _count_requests(pathlib.Path(arguments.requests), int(sys.stdin.read()))
        return
    examples = measure_examples(*arguments.tracks)
    for name, costs in (
        ("the audio stage", examples),
        ("`genreflow label`", measure_labels(arguments.label_tracks, examples)),
    ):
        print_constants(name, costs)
        print_estimates(costs)
    if arguments.check:
        check(examples, arguments.check)


def measure_examples(small: int, large: int) -> Constants:
    """Return what a track of the audio stage costs on this machine."""
    runs = [growth.measure(growth.Size(tracks, processes=1, clips=4)) for tracks in (small, large)]
    first, second = runs
    more = large - small

    def each(key: str) -> float:
        return float(second[key] - first[key]) / more

    stored = [_requests(tracks) for tracks in (100, 300)]
    per_track = {key: (stored[1][key] - stored[0][key]) / 200 for key in stored[0]}
    parallel = each("cpu_seconds")
    serial = each("serial_seconds")
    processes = growth.measure(growth.Size(_FEW, processes=2, clips=4))
    return Constants(
        start_seconds=processes["whole_seconds"] - _FEW * (parallel / 2 + serial),
        serial_seconds=serial,
        parallel_seconds=parallel,
        submitter_bytes=max(0.0, each("peak_bytes")),
        worker_bytes=first["peak_bytes"],
        fetched_bytes=per_track["fetched"],
        stored_bytes=per_track["stored"],
        reads=per_track["reads"],
        writes=per_track["writes"],
    )


def measure_labels(tracks: int, examples: Constants) -> Constants:
    """Return what a track of `genreflow label` costs on this machine."""
    from genreflow.labelling.catalogue import list_files
    from genreflow.labelling.listing import spooled

    with tempfile.TemporaryDirectory() as scratch:
        root = pathlib.Path(scratch)
        model = str(root / "model")
        label.run_apart("model", root, model)
        (root / "run").mkdir()
        audio_stage.write_corpus(root / "run" / "data", tracks)
        samples = label.run_apart("anew", root / "run" / "data", model)
        found = label.figures(samples, tracks)
        stored = sum(path.stat().st_size for path in (root / "run" / "labels").rglob("*.parquet"))
        (root / "list").mkdir()
        audio_stage.write_corpus(root / "list" / "data", _LISTED)
        begun = time.monotonic()
        with spooled(list_files(str(root / "list" / "data")), lambda number: None):
            listing = time.monotonic() - begun
    return Constants(
        start_seconds=samples[-1].clock - samples[0].clock - tracks * found["wall_ms"] / 1000,
        serial_seconds=listing / _LISTED,
        parallel_seconds=found["cpu_ms"] / 1000,
        submitter_bytes=0.0,  # the catalogue is on the disk
        worker_bytes=found["peak_bytes"],
        fetched_bytes=examples.fetched_bytes,
        stored_bytes=stored / tracks,
        reads=1.0,  # the file
        # A page of the listing has 1,000 files, as has a part of the table, which takes its
        # listing, its result, a report every ten seconds, and itself.
        writes=(1 + 3 + found["cpu_ms"] / 10) / 1000,
    )


def print_constants(name: str, costs: Constants) -> None:
    """Print the constants of the model."""
    print(f"| what a track costs in {name} | |")
    print("|---|---|")
    print(f"| processor time of workers | {1000 * costs.parallel_seconds:.1f} ms |")
    print(f"| time of the submitting process alone | {1000 * costs.serial_seconds:.2f} ms |")
    print(f"| memory of the submitting process | {costs.submitter_bytes / 1e3:.1f} kB |")
    print(f"| audio fetched | {costs.fetched_bytes / 1e3:.0f} kB |")
    print(f"| results stored | {costs.stored_bytes:,.0f} bytes |")
    print(f"| requests that read | {costs.reads:.2f} |")
    print(f"| requests that write or list | {costs.writes:.3f} |")
    print()
    worker, start = costs.worker_bytes / 1e6, costs.start_seconds
    print(f"Memory of a process: {worker:.0f} MB; start of a job: {start:.0f} s")
    print()


def print_estimates(costs: Constants) -> None:
    """Print the model for catalogues of several sizes on named machines."""
    print(
        "| tracks | machines | time | bottleneck | machines, USD | requests, USD | stored |"
        " submitter's memory |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for tracks in CATALOGUES:
        for machines in MACHINES:
            found = estimate(tracks, costs, machines, PRICES)
            print(
                f"| {tracks:,} | {machines.count} x {machines.name} | {_time(found.seconds)} "
                f"| {found.bottleneck} | {found.machine_usd:.2f} | {found.request_usd:.2f} "
                f"| {found.stored_bytes / GB:.1f} GB | {found.submitter_bytes / GB:.2f} GB |"
            )
    print()


def check(costs: Constants, tracks: int) -> None:
    """Run a number of tracks in one process, and print the model's error."""
    here = dataclasses.replace(MACHINES[0], name="this machine", count=1, cores=1)
    local = dataclasses.replace(costs, fetched_bytes=0.0, start_seconds=0.0)
    predicted = estimate(tracks, local, here, PRICES).seconds
    found = growth.measure(growth.Size(tracks, processes=1, clips=4))["whole_seconds"]
    print(
        f"{tracks} tracks: {predicted:.0f} s predicted, {found:.0f} s measured "
        f"({100 * (predicted / found - 1):+.0f} %)"
    )


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 2 * HOUR:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / HOUR:.1f} h"


def _requests(tracks: int) -> dict[str, float]:
    """Run the audio stage in an S3 server, and return its requests and bytes."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-m", command.module(__file__), "--requests", folder],
            input=str(tracks),
            capture_output=True,
            text=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
            check=False,
        )
    if done.returncode:
        sys.exit(done.stderr[-4000:])
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _count_requests(folder: pathlib.Path, tracks: int) -> None:
    """Run the audio stage with data and artifacts in moto's server, and print the counts."""
    import unittest.mock

    import boto3
    import botocore.client
    from moto.server import ThreadedMotoServer

    from components.storage import objects
    from pipeline.config.beam import BeamSettings, pipeline_args

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    os.environ.update(
        AWS_ACCESS_KEY_ID="key", AWS_SECRET_ACCESS_KEY="secret", AWS_REGION="us-east-1",
        AWS_EC2_METADATA_DISABLED="true", AWS_ENDPOINT_URL_S3=f"http://{host}:{port}",
    )  # fmt: skip
    boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="music")
    audio_stage.write_corpus(folder / "data", tracks)
    fetched = 0
    for path in sorted((folder / "data").iterdir()):
        objects.upload(path, f"s3://music/data/{path.name}")
        fetched += path.stat().st_size
    counts: collections.Counter[str] = collections.Counter()
    call = botocore.client.BaseClient._make_api_call

    def counting(self: Any, operation: str, arguments: Any) -> Any:
        counts[operation] += 1
        return call(self, operation, arguments)

    patch = unittest.mock.patch.object(botocore.client.BaseClient, "_make_api_call", counting)
    with patch, contextlib.redirect_stdout(sys.stderr):
        audio_stage.run(
            "s3://music/data",
            "s3://music/runs",
            folder,
            pipeline_args(BeamSettings(runner="direct", workers=1), tracks=tracks),
        )
    stored = sum(item.state.size_bytes for item in objects.list_objects("s3://music/runs/"))
    found = {
        "reads": sum(counts[name] for name in _READS),
        "writes": sum(counts[name] for name in _WRITES),
        "fetched": fetched,
        "stored": stored,
    }
    print(json.dumps(found), flush=True)
    os._exit(0)  # moto's threads


if __name__ == "__main__":
    main()
