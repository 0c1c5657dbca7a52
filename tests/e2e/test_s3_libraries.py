"""Beam's workers and TFX's own file access with an object store, in processes of their own."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import textwrap
from typing import Any

import pytest

from tests.support import ROOT, s3_server

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def _run(code: str, proxy: s3_server.Proxy, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program in which `say(**values)` prints a line of JSON."""
    head = """
        import json, os, sys
        from components.artifacts import tfx_files
        def say(**values):
            print("SAID " + json.dumps(values), flush=True)
        tfx_files.prepare(sys.argv[1])
    """
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(head) + textwrap.dedent(code), *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **s3_server.environment(proxy.endpoint)},
        timeout=600,
        check=False,
    )


def _output(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """Return the values that a successful program printed with `say`."""
    assert done.returncode == 0, done.stderr[-3000:]
    for secret in (s3_server.SECRET, s3_server.TOKEN):
        assert secret not in done.stdout + done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("SAID ")]
    return [json.loads(line.removeprefix("SAID ")) for line in lines]


def test_workers_of_beam_see_a_changed_object(
    s3: Any, bucket: str, s3_proxy: s3_server.Proxy, tmp_path: pathlib.Path
) -> None:
    s3.put_object(Bucket=bucket, Key="a.wav", Body=b"x")
    program = """
        import sys
        import apache_beam as beam
        root = sys.argv[1]
        import tempfile
        from components.audio.params import AudioParams
        from components.datasets.track import Track
        from components.spectrogram_gen import job
        from components.spectrogram_gen.plan_files import write_plan
        from components.spectrogram_gen.shards import Shard, WriteOptions
        from components.storage.objects import ObjectState
        track = Track("a", root + "/a.wav", "Folk", state=ObjectState(1, "of another object"))
        shards = [Shard(i, 4, ("train",), ((track, ("train",) * 4),)) for i in range(4)]
        for mode in ("in_memory", "multi_processing"):
            folder = tempfile.mkdtemp(dir=sys.argv[2])
            options = WriteOptions(AudioParams(), ("Folk",), 0, folder, store=folder + "/store")
            flags = ["--direct_running_mode=" + mode, "--direct_num_workers=2"]
            results = job.begin(folder + "/x")
            places = write_plan(results + "/plan", shards)
            with beam.Pipeline(options=beam.pipeline.PipelineOptions(flags)) as pipeline:
                write = job.WriteShard(options, results, results + "/reports")
                pipeline | beam.Create(places) | beam.ParDo(write)
            results = job.read_results(results, shards)
            say(mode=mode, problems=[result.problem for result in results])
        sys.stdout.flush()
        os._exit(0)
    """
    printed = _output(_run(program, s3_proxy, f"s3://{bucket}", str(tmp_path)))
    # Every shard gives the reason with either runner, and only the first asks the store.
    problem = f"s3://{bucket}/a.wav: the object changed during the run; run again when the data "
    for mode, outcome in zip(("in_memory", "multi_processing"), printed[:2], strict=True):
        assert outcome["mode"] == mode
        assert outcome["problems"] == [problem + "is stable"] * 4
    assert len(s3_proxy.requests("GET", "/a.wav")) <= 4


def test_an_empty_output_exists_for_the_cache(
    s3: Any, bucket: str, s3_proxy: s3_server.Proxy
) -> None:
    program = """
        from tfx.types import artifact_utils, standard_artifacts
        from pipeline.process import node_runner
        from components.storage import objects
        full, empty = standard_artifacts.ModelBlessing(), standard_artifacts.ModelBlessing()
        full.uri, empty.uri = sys.argv[1] + "/full/1", sys.argv[1] + "/empty/1"
        objects.write(full.uri + "/BLESSED", b"")
        outputs = {"a": [full], "b": [empty]}
        try:
            artifact_utils.verify_artifacts(outputs)
        except RuntimeError as error:
            say(before=empty.uri in str(error))
        node_runner.keep_empty_outputs(outputs)
        artifact_utils.verify_artifacts(outputs)
        say(objects=[item.uri for item in objects.list_objects(sys.argv[1] + "/")])
        sys.stdout.flush()
        os._exit(0)
    """
    root = f"s3://{bucket}/e"
    assert _output(_run(program, s3_proxy, root)) == [
        {"before": True},
        {"objects": [f"{root}/empty/1/.empty", f"{root}/full/1/BLESSED"]},
    ]
