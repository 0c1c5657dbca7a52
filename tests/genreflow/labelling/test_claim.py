"""Tests of the right to write a table."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from components.artifacts import files
from components.common.errors import UsageError
from genreflow.labelling import claim
from genreflow.labelling.claim import claimed
from genreflow.labelling.stage import check_run
from genreflow.labelling.table import TableFolder
from tests.support import ROOT


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(claim, "SILENT_SECONDS", 0.6)


def test_a_local_table_has_one_writer_and_a_killed_one_blocks_none(tmp_path: pathlib.Path) -> None:
    folder = TableFolder(str(tmp_path))
    program = (
        "import sys, time\n"
        "from genreflow.labelling.claim import claimed\n"
        "from genreflow.labelling.table import TableFolder\n"
        f"with claimed(TableFolder({str(tmp_path)!r})) as token:\n"
        "    print(token, flush=True)\n"
        "    time.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    token = process.stdout.readline().strip()
    check_run(folder, token)
    with pytest.raises(UsageError, match="another run is writing this table"), claimed(folder):
        pass
    process.kill()
    process.wait()
    with claimed(folder) as other:
        assert other != token
        check_run(folder, other)


@pytest.mark.usefixtures("hasty")
def test_a_remote_table_has_one_writer(s3: Any, bucket: str) -> None:
    folder = TableFolder(f"s3://{bucket}/labels")
    waited: list[bool] = []
    with claimed(folder, lambda: waited.append(True)) as token:
        assert not waited  # nobody was there
        check_run(folder, token)
        with (
            pytest.raises(UsageError, match="another run is writing"),
            claimed(folder, lambda: waited.append(True)),
        ):
            pass
        check_run(folder, token)
    assert waited == [True]
    with claimed(folder, lambda: waited.append(True)):
        assert waited == [True]  # the first run released it


@pytest.mark.usefixtures("hasty")
def test_a_remote_table_of_a_killed_run_is_taken_over(s3: Any, bucket: str) -> None:
    folder = TableFolder(f"s3://{bucket}/labels")
    files.write_text(folder.run, json.dumps({"token": "killed", "beat": 3}))
    waited: list[bool] = []
    begun = time.monotonic()
    with claimed(folder, lambda: waited.append(True)) as token:
        assert waited == [True]
        assert time.monotonic() - begun >= 0.6
        check_run(folder, token)
    assert not [thread for thread in threading.enumerate() if thread.name == "label-beat"]


def test_a_folder_that_cannot_be_written_is_told(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("filelock.FileLock.acquire", refuse)
    folder = TableFolder(str(tmp_path))
    with (
        pytest.raises(UsageError, match=r"cannot be written .Permission denied.; choose another"),
        claimed(folder),
    ):
        pass


@pytest.mark.usefixtures("hasty")
def test_of_two_runs_that_began_at_once_one_lives_on(s3: Any, bucket: str) -> None:
    folder = TableFolder(f"s3://{bucket}/labels")
    with claimed(folder) as token:
        files.write_text(folder.run, json.dumps({"token": "other", "beat": 0}))
        time.sleep(0.5)  # several beats
        check_run(folder, "other")
        assert token != "other"
    check_run(folder, "other")
