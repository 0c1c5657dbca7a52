"""Tests of TFX's file access to s3:// without TensorFlow's: what Pusher and the launcher do."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest
from tfx.dsl.io import fileio, filesystem_registry
from tfx.utils import io_utils

from components.artifacts import tfx_files
from components.storage import objects
from tests.support import s3_server


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register the file system for one test, as other tests of the process may use TensorFlow's."""
    from tfx.dsl.io.plugins import tensorflow_gfile

    registry = filesystem_registry.FilesystemRegistry()
    registry.register(tensorflow_gfile.TensorflowFilesystem, 10, use_as_fallback=True)
    monkeypatch.setattr(filesystem_registry, "DEFAULT_FILESYSTEM_REGISTRY", registry)
    tfx_files.register()


def test_a_push_copies_the_folder_in_parts_and_replaces_what_is_there(
    bucket: str, s3_proxy: s3_server.Proxy, tmp_path: pathlib.Path
) -> None:
    """TFX's own copy between two file systems would read each file as a whole."""
    large = bytes(range(256)) * (9 << 12)  # 9 MiB
    (tmp_path / "model" / "variables").mkdir(parents=True)
    (tmp_path / "model" / "variables" / "v").write_bytes(large)
    (tmp_path / "model" / "saved_model.pb").write_bytes(b"m")
    uri = f"s3://{bucket}/serving/genreflow/17"
    objects.write(f"{uri}/left-by-a-push-that-was-killed", b"x")
    assert fileio.exists(uri)
    io_utils.copy_dir(str(tmp_path / "model"), uri, deny_regex_patterns=[r"saved_model\.pb"])
    io_utils.copy_file(str(tmp_path / "model" / "saved_model.pb"), f"{uri}/saved_model.pb")
    found = {
        item.uri.removeprefix(uri): item.state.size_bytes for item in objects.list_objects(uri)
    }
    assert found == {"/saved_model.pb": 1, "/variables/v": len(large)}
    assert objects.read(f"{uri}/variables/v", len(large)) == large
    assert s3_proxy.requests("PUT", "uploadId=")
    with pytest.raises(OSError, match="exists already"):
        fileio.copy(str(tmp_path / "model" / "saved_model.pb"), f"{uri}/saved_model.pb")


def test_files_are_copied_from_the_store_and_within_it(bucket: str, tmp_path: pathlib.Path) -> None:
    uri = f"s3://{bucket}/runs/schemas/x.pbtxt"
    objects.write(uri, "genre é\n".encode())
    with fileio.open(uri) as file:
        assert file.read() == "genre é\n"
    assert fileio.open(uri, "rb").read() == "genre é\n".encode()
    io_utils.copy_file(uri, str(tmp_path / "schema" / "schema.pbtxt"))
    assert (tmp_path / "schema" / "schema.pbtxt").read_text("utf-8") == "genre é\n"
    fileio.copy(uri, f"{uri}2")
    assert objects.read(f"{uri}2", 100) == "genre é\n".encode()
    fileio.copy(str(tmp_path / "schema" / "schema.pbtxt"), str(tmp_path / "local"))
    assert (tmp_path / "local").read_text("utf-8") == "genre é\n"
    with pytest.raises(fileio.NotFoundError, match="no such object"):
        fileio.copy(f"{uri}3", str(tmp_path / "missing"))


@pytest.mark.parametrize("remote", [True, False])
def test_folders_are_made_found_and_removed(
    remote: bool, request: Any, tmp_path: pathlib.Path
) -> None:
    root = f"s3://{request.getfixturevalue('bucket')}/runs" if remote else str(tmp_path / "runs")
    folder = f"{root}/Node/.system/tmp/"
    fileio.makedirs(folder)
    assert fileio.isdir(folder) is not remote  # a store has no empty folders
    io_utils.copy_file(__file__, f"{folder}x")
    assert fileio.isdir(folder)
    assert fileio.exists(f"{folder}x")
    assert not fileio.isdir(f"{folder}x")
    fileio.remove(f"{folder}x")
    assert not fileio.exists(f"{folder}x")
    io_utils.copy_file(__file__, f"{folder}x")
    fileio.rmtree(root)
    assert not fileio.exists(root)


def test_removing_what_is_not_in_the_store_is_no_error(bucket: str) -> None:
    """TFX removes the outputs of an executor that failed, whose error must not be lost."""
    fileio.remove(f"s3://{bucket}/runs/Node/output/1")
    fileio.rmtree(f"s3://{bucket}/runs/Node/output/1")
