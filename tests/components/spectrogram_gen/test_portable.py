"""The audio stage on portable runners, whose workers see no folder of this machine."""

from __future__ import annotations

import json
import pathlib
import tempfile
from typing import Any

import pytest

from pipeline.config.beam import IN_MEMORY
from tests.support.audio_stage import (
    local_files,
    portable_args,
    run_stage,
    stored_files,
    upload_corpus,
)
from tests.support.beam_services import IsolatedPool, wait_until

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("runner", ["prism", "job_service"])
def test_workers_that_see_nothing_of_this_machine_write_the_same_bytes(
    runner: str,
    request: pytest.FixtureRequest,
    isolated_worker: IsolatedPool,
    s3: Any,
    bucket: str,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    service = request.getfixturevalue(runner)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    assert not (isolated_worker.inside / tmp_path.relative_to(isolated_worker.hidden)).exists()
    dataset = upload_corpus(s3, bucket)
    run_stage(dataset, str(tmp_path / "here"), IN_MEMORY, tmp_path / "tfx")
    here = local_files(tmp_path / "here")
    assert {name.split("/")[1] for name in here if name.endswith(".tfrecord")} == {
        "Split-train", "Split-validation", "Split-test",
    }  # fmt: skip
    assert list((tmp_path / "tmp").iterdir()) == []

    # The store's folder is this machine's, unless all share it.
    flags = portable_args(service, isolated_worker)
    run_stage(dataset, f"s3://{bucket}/there", flags, tmp_path / "tfx", store="")
    assert stored_files(s3, f"s3://{bucket}/there") == here
    assert _left(isolated_worker) == []
    assert list((tmp_path / "tmp").iterdir()) == []
    assert "Logging client failed" not in isolated_worker.output()

    if runner == "prism":
        store = f"s3://{bucket}/store"
        for place, decoded in (("first", 23), ("again", 0)):
            run_stage(dataset, f"s3://{bucket}/{place}", flags, tmp_path / "tfx", store=store)
            found = stored_files(s3, f"s3://{bucket}/{place}")
            assert json.loads(found["rejects/summary.json"])["tracks_decoded"] == decoded
            for name in here.keys() - {"rejects/summary.json"}:
                assert found[name] == here[name], name
        assert _left(isolated_worker) == []


def _left(pool: IsolatedPool) -> list[str]:
    """Return what a pool's workers left, once they have ended."""
    wait_until(lambda: not pool.workers(), 30)
    return [path.name for path in pool.inside.rglob("*") if path.name != "tmp"]
