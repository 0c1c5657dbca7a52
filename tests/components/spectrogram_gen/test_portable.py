"""The audio stage on portable runners, whose workers see no folder of this machine."""

from __future__ import annotations

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
from tests.support.beam_services import IsolatedPool

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

    place = f"s3://{bucket}/there"
    run_stage(dataset, place, portable_args(service, isolated_worker), tmp_path / "tfx")
    assert stored_files(s3, place) == here
