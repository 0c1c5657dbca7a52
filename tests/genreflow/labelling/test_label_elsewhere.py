"""A table in an object store, written by workers that see no folder of this machine."""

from __future__ import annotations

import io
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import soundfile

from components.storage import objects
from genreflow.labelling import run
from genreflow.labelling.run import Options, Summary
from pipeline.config.beam import IN_MEMORY
from tests.genreflow.labelling.here import work_here
from tests.support.audio_stage import portable_args
from tests.support.beam_services import IsolatedPool, Service
from tests.support.serving_toys import CLIP

pytestmark = pytest.mark.e2e


@pytest.fixture
def catalogue(s3: Any, bucket: str, toy_models: pathlib.Path) -> str:
    """Put a model and a catalogue into a bucket, and return the bucket's URI."""
    objects.upload_folder(toy_models / "2", f"s3://{bucket}/models/2", last="saved_model.pb")
    for index in range(12):
        file = io.BytesIO()
        samples = np.random.default_rng(index).normal(0, 0.1, 4 * CLIP)
        soundfile.write(file, samples, 8000, format="WAV")
        content = b"words" if index == 5 else file.getvalue()
        s3.put_object(Bucket=bucket, Key=f"music/{index:03d}.wav", Body=content)
    return f"s3://{bucket}"


def label(options: Options, args: Sequence[str] = IN_MEMORY) -> tuple[Summary, list[str]]:
    notes: list[str] = []

    def on_event(event: Mapping[str, Any]) -> None:
        if event["event"] == "note":
            notes.append(event["text"])

    return run.label(options, args, on_event), notes


def stored(s3: Any, root: str) -> dict[str, bytes]:
    bucket, _, prefix = root.removeprefix("s3://").partition("/")
    found = s3.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/").get("Contents", ())
    return {
        item["Key"][len(prefix) + 1 :]: s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read()
        for item in found
    }


def test_workers_elsewhere_write_the_same_table(
    s3: Any,
    bucket: str,
    catalogue: str,
    prism: Service,
    isolated_worker: IsolatedPool,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("genreflow.labelling.run.parts_for", lambda rows: 3)
    options = Options(f"{catalogue}/models", f"{catalogue}/music", str(tmp_path / "here"), csv=True)
    summary, _ = label(options)
    assert (summary.files, summary.labelled, summary.rejects) == (12, 12, {"undecodable": 1})
    here = {
        str(path.relative_to(tmp_path / "here")): path.read_bytes()
        for path in (tmp_path / "here").rglob("*")
        if path.is_file() and path.name != ".lock"
    }
    assert len(here) == 7  # the header, and three parts twice

    there = Options(f"{catalogue}/models", f"{catalogue}/music", f"{catalogue}/labels", csv=True)
    elsewhere, _ = label(there, portable_args(prism, isolated_worker))
    assert stored(s3, f"{catalogue}/labels") == here
    assert elsewhere.genres == summary.genres

    # Again here, and after changes: an object is new, one is changed, one is gone.
    s3.copy_object(Bucket=bucket, Key="music/new.wav", CopySource=f"{bucket}/music/000.wav")
    s3.copy_object(Bucket=bucket, Key="music/001.wav", CopySource=f"{bucket}/music/002.wav")
    s3.delete_object(Bucket=bucket, Key="music/003.wav")
    work_here(monkeypatch)
    again, _ = label(there)
    assert (again.labelled, again.kept, again.gone) == (2, 10, 1)


def test_a_manifest_with_bad_rows_is_labelled_as_far_as_it_goes(
    s3: Any,
    bucket: str,
    catalogue: str,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    work_here(monkeypatch)
    rows = [
        "uri,track_id",
        "music/000.wav,a",
        "music/none.wav,b",
        f"{catalogue}/music/005.wav,c",
        ",",
    ]
    s3.put_object(Bucket=bucket, Key="list.csv", Body="\n".join(rows).encode())
    options = Options(f"{catalogue}/models", f"{catalogue}/list.csv", str(tmp_path / "labels"))
    summary, _ = label(options)
    assert summary.rejects == {"bad_metadata": 1, "missing_file": 1, "undecodable": 1}
    assert sum(summary.genres.values()) == 1
    summary, _ = label(options)
    assert summary.labelled == 0
