"""Layout of the candidate's files for a server."""

from __future__ import annotations

import os
import pathlib
from typing import Any

import pytest

from components.serving_check import candidate
from components.storage import objects

FILES = {
    "saved_model.pb": b"graph",
    "variables/variables.index": b"index",
    "assets/genres.json": b'["Folk"]',
}


def _write(folder: pathlib.Path) -> pathlib.Path:
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def _holds(models: pathlib.Path) -> None:
    """Assert that the folder of versions is as the Pusher would make it."""
    assert models.name == "genreflow"
    (version,) = models.iterdir()
    assert version.name == "1"
    paths = [path for path in version.rglob("*") if not path.is_dir()]
    assert {p.relative_to(version).as_posix(): p.read_bytes() for p in paths} == FILES
    assert not any(path.is_symlink() for path in version.rglob("*"))


def test_files_on_the_same_disk_are_not_copied(tmp_path: pathlib.Path) -> None:
    source = _write(tmp_path / "model")
    models = candidate.lay_out(str(source), tmp_path / "scratch")
    _holds(models)
    for name in FILES:
        assert os.path.samefile(source / name, models / "1" / name)


def test_files_that_cannot_be_linked_are_copied(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def another_disk(*_arguments: Any) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", another_disk)
    source = _write(tmp_path / "model")
    models = candidate.lay_out(str(source), tmp_path / "scratch")
    _holds(models)
    assert not os.path.samefile(source / "saved_model.pb", models / "1" / "saved_model.pb")


def test_a_symbolic_link_becomes_the_file_that_it_leads_to(tmp_path: pathlib.Path) -> None:
    """Servers follow no symbolic links."""
    source = _write(tmp_path / "model")
    (source / "saved_model.pb").rename(tmp_path / "elsewhere.pb")
    (source / "saved_model.pb").symlink_to(tmp_path / "elsewhere.pb")
    _holds(candidate.lay_out(str(source), tmp_path / "scratch"))


def test_files_in_an_object_store_are_fetched(tmp_path: pathlib.Path, s3: Any, bucket: str) -> None:
    objects.upload_folder(
        _write(tmp_path / "model"), f"s3://{bucket}/run/model", last="saved_model.pb"
    )
    _holds(candidate.lay_out(f"s3://{bucket}/run/model", tmp_path / "scratch"))
