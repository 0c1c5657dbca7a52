"""The local runner starts no Prism, and its worker processes get the pipeline's options."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest

from pipeline.config.beam import BeamSettings, pipeline_args
from tests.support import ROOT

PROGRAM = """
import os, sys
import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.runners.portability import prism_runner

def refuse(*args, **kwargs):
    raise AssertionError("Prism was started")

def describe(_):
    options = FileSystems._pipeline_options.get_all_options()
    return f"{os.getpid()} {options['s3_region_name']}"

prism_runner.PrismRunner.__init__ = refuse
with beam.Pipeline(argv=sys.argv[2:]) as pipeline:
    (
        pipeline | beam.Create([0]) | beam.Map(describe)
        | beam.io.WriteToText(sys.argv[1], num_shards=1, shard_name_template="")
    )
print(os.getpid())
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_options_reach_the_code_that_beam_runs(workers: int, tmp_path: pathlib.Path) -> None:
    options = ("--s3_region_name=eu-test-1",)
    settings = BeamSettings(runner="direct", workers=workers, options=options)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "out"), *pipeline_args(settings, tracks=1)],
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    process, region = (tmp_path / "out").read_text().split()
    assert region == "eu-test-1"
    assert (process == done.stdout.strip()) == (workers == 1)
