"""Tests of local copies of an object store's folders: what is moved, what is kept, a full disk."""

from __future__ import annotations

import collections
import errno
import pathlib
import shutil
from typing import Any

import pytest

from components.storage import copies as module
from components.storage import objects
from components.storage.copies import Copies, DiskFullError, local_copies
from components.storage.errors import ObjectForbidden, StorageError
from tests.support import s3_server

Usage = collections.namedtuple("Usage", ["total", "used", "free"])


@pytest.fixture
def copies(tmp_path: pathlib.Path) -> Copies:
    (tmp_path / "copies").mkdir()
    return Copies(tmp_path / "copies")


def _contents(folder: str | pathlib.Path) -> dict[str, bytes]:
    root = pathlib.Path(folder)
    found = (path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in found}


def _fill(folder: str, *names: str) -> None:
    for name in names:
        path = pathlib.Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())


def _free(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(free, 0, free))


def test_a_folder_is_fetched_once_until_an_object_in_it_changes(
    bucket: str, s3_proxy: s3_server.Proxy, copies: Copies
) -> None:
    uri = f"s3://{bucket}/runs/Examples/1"
    names = [f"Split-train/part-{index}" for index in range(20)] + ["test_sources.json"]
    for name in names:
        objects.write(f"{uri}/{name}", name.encode())
    objects.write(f"{uri}0/other", b"of execution 10")
    path = copies.fetch(uri)
    assert _contents(path) == {name: name.encode() for name in names}
    assert copies.fetch(uri) == path
    assert len(s3_proxy.requests("GET", "/runs/Examples/1/")) == len(names)
    objects.write(f"{uri}/test_sources.json", b"changed")
    objects.delete(f"{uri}/{names[0]}")
    assert copies.fetch(uri) == path
    expected = {name: name.encode() for name in names[1:]} | {"test_sources.json": b"changed"}
    assert _contents(path) == expected


def test_a_folder_without_objects_is_an_empty_one(bucket: str, copies: Copies) -> None:
    path = pathlib.Path(copies.fetch(f"s3://{bucket}/nothing"))
    assert path.is_dir()
    assert not list(path.iterdir())


def test_an_output_replaces_what_is_in_the_store_and_is_not_fetched_again(
    bucket: str, s3_proxy: s3_server.Proxy, copies: Copies
) -> None:
    uri = f"s3://{bucket}/runs/Model/7"
    objects.write(f"{uri}/left-by-a-killed-attempt", b"x")
    path = copies.create(uri)
    names = ["Format-Serving/saved_model.pb", "Format-Serving/variables/v.index", "z.json"]
    _fill(path, *names)
    s3_proxy.log.clear()
    copies.publish(uri, last="saved_model.pb")
    written = [exchange.path.partition("?")[0] for exchange in s3_proxy.requests("PUT")]
    assert [name.removeprefix(f"/{bucket}/runs/Model/7/") for name in written] == [
        *names[1:],
        names[0],
    ]
    assert [item.uri for item in objects.list_objects(uri)] == [f"{uri}/{n}" for n in names]
    s3_proxy.log.clear()
    assert copies.fetch(uri) == path
    assert s3_proxy.requests("GET", "/runs/Model") == []
    # Another process has to fetch it.
    with local_copies() as others:
        assert _contents(others.fetch(uri)) == {name: name.encode() for name in names}


def test_an_upload_that_fails_leaves_no_marker(
    bucket: str, s3_proxy: s3_server.Proxy, copies: Copies
) -> None:
    uri = f"s3://{bucket}/runs/Model/7"
    _fill(copies.create(uri), "a", "saved_model.pb", "z")
    s3_proxy.fail(1000, s3_server.DENIED, method="PUT", path="/z")
    with pytest.raises(ObjectForbidden, match=r"^s3://.*/runs/Model/7/z: access denied"):
        copies.publish(uri, last="saved_model.pb")
    assert [item.uri for item in objects.list_objects(uri)] == [f"{uri}/a"]


def test_a_key_that_leads_out_of_the_folder_is_not_written(
    s3: Any, bucket: str, copies: Copies, tmp_path: pathlib.Path
) -> None:
    s3.put_object(Bucket=bucket, Key="x/../../../out", Body=b"x")
    with pytest.raises(StorageError, match="not a valid file name"):
        copies.fetch(f"s3://{bucket}/x")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_copy_that_does_not_fit_is_refused_before_it_is_fetched(
    bucket: str, s3_proxy: s3_server.Proxy, copies: Copies, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"s3://{bucket}/x"
    objects.write(f"{uri}/a", bytes(2_000_000))
    s3_proxy.log.clear()
    _free(monkeypatch, module.MIN_FREE_BYTES + 1_900_000)
    with pytest.raises(DiskFullError) as caught:
        copies.fetch(uri)
    assert str(caught.value) == (
        f"{copies.root}: the local copy of {uri} needs 2 MB, but only 22 MB are free; free some "
        "space and rerun"
    )
    assert s3_proxy.requests("GET", "/x/a") == []
    _free(monkeypatch, module.MIN_FREE_BYTES + 2_000_000)
    assert _contents(copies.fetch(uri)) == {"a": bytes(2_000_000)}


def test_any_error_on_a_full_disk_is_the_disks(
    copies: Copies, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write() -> None:
        with copies.space_errors():
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):  # of another disk
        write()
    _free(monkeypatch, 3_000_000)
    with pytest.raises(DiskFullError, match=r"the disk is full \(3 MB free\); free some space"):
        write()


@pytest.mark.parametrize("given", [True, False])
def test_copies_are_deleted_also_after_errors(
    bucket: str, given: bool, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    objects.write(f"s3://{bucket}/x/a", b"x")
    folder = tmp_path / "copies" if given else None
    if folder:
        _fill(str(folder), "bucket/left/by/a/killed/run")

    def work(*, fails: bool) -> None:
        with local_copies(folder) as copies:
            assert list(_contents(copies.root)) == []
            assert _contents(copies.fetch(f"s3://{bucket}/x")) == {"a": b"x"}
            if fails:
                raise KeyError("x")

    work(fails=False)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(KeyError):
        work(fails=True)
    assert list(tmp_path.iterdir()) == []
