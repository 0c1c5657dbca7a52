"""A whole run with beam.runner = "portable", whose workers see no folder of this machine."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
from typing import Any

import pytest

from tests.support import s3_server
from tests.support.audio_stage import stored_files
from tests.support.beam_services import IsolatedPool, Service, wait_until
from tests.support.commands import GENREFLOW, QUICK

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

PORTABLE = """
[beam]
runner = "portable"
shard_tracks = 4
[beam.portable]
endpoint = "{service}"
environment = "external"
worker_address = "{pool}"
"""
DIRECT = """
[beam]
runner = "direct"
workers = 1
shard_tracks = 4
"""


@pytest.mark.timeout(900)
def test_a_run_as_typed_trains_the_same_model_as_on_this_machine(
    corpus: pathlib.Path,
    prism: Service,
    isolated_worker: IsolatedPool,
    s3: Any,
    bucket: str,
    s3_proxy: s3_server.Proxy,
    tmp_path: pathlib.Path,
) -> None:
    for path in sorted(corpus.rglob("*")):
        if path.is_file():
            s3.upload_file(str(path), bucket, f"data/{path.relative_to(corpus).as_posix()}")
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    results = {}
    portable = PORTABLE.format(service=prism.endpoint, pool=isolated_worker.endpoint)
    for name, beam in (("portable", portable), ("direct", DIRECT)):
        config = tmp_path / f"{name}.toml"
        root = f"s3://{bucket}/{name}"
        config.write_text(f'{QUICK}{beam}[storage]\npipeline_root = "{root}"\n')
        work = tmp_path / name
        done = subprocess.run(
            [
                GENREFLOW, "run", "--config", config, "--data-dir", f"s3://{bucket}/data",
                "--work-dir", work,
            ],
            env={
                **os.environ,
                **s3_server.environment(s3_proxy.endpoint),
                "TMPDIR": str(temporary),
                "COLUMNS": "100",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout
        results[name] = json.loads((work / "results.json").read_text())
    assert _lasting(results["portable"]) == _lasting(results["direct"])
    here = stored_files(s3, f"s3://{bucket}/direct/SpectrogramGen")
    assert stored_files(s3, f"s3://{bucket}/portable/SpectrogramGen") == here
    assert sum(name.endswith(".tfrecord") for name in here) >= 3
    # TensorFlow leaves sources that it generated for training.
    left = [path for path in temporary.iterdir() if "autograph" not in path.name]
    assert left == []
    wait_until(lambda: not isolated_worker.workers(), 30)
    assert [path.name for path in isolated_worker.inside.iterdir()] == ["tmp"]
    assert list((isolated_worker.inside / "tmp").iterdir()) == []
    assert "Logging client failed" not in isolated_worker.output()


def _lasting(value: Any) -> Any:
    """Return results without times, names of the run and its outcome by node."""
    own = ("run_id", "config_digest", "pushed_version", "nodes")
    if isinstance(value, dict):
        return {k: _lasting(v) for k, v in value.items() if "seconds" not in k and k not in own}
    return [_lasting(one) for one in value] if isinstance(value, list) else value
