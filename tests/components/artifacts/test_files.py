"""Files of artifacts on a disk and in an object store: whole or not at all."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest

from components.artifacts import files
from components.storage.errors import ObjectMissing


@pytest.fixture(params=["local", "remote"])
def folder(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> str:
    if request.param == "local":
        return str(tmp_path / "artifact")
    return f"s3://{request.getfixturevalue('bucket')}/artifact"


def test_what_is_written_is_read_listed_and_removed(folder: str) -> None:
    files.write_text(f"{folder}/deep/er/é.json", "é\n")
    files.write_bytes(f"{folder}/a-1.txt", b"")
    files.write_bytes(f"{folder}/a-2.txt", b"2")
    files.write_bytes(f"{folder}/a-2.txt", b"3")
    assert files.read_text(f"{folder}/deep/er/é.json") == "é\n"
    assert files.read_bytes(f"{folder}/a-2.txt") == b"3"
    assert files.matching(folder, "a-*") == [f"{folder}/a-1.txt", f"{folder}/a-2.txt"]
    assert files.matching(f"{folder}/nowhere", "*") == []
    files.remove(f"{folder}/a-1.txt")
    assert files.matching(folder, "*.txt") == [f"{folder}/a-2.txt"]
    files.empty_folder(folder)
    assert files.matching(folder, "*") == []
    with pytest.raises((FileNotFoundError, ObjectMissing)):
        files.read_bytes(f"{folder}/a-2.txt")


@pytest.mark.parametrize("scratch", [False, True])
def test_a_file_whose_writing_fails_never_appears(
    folder: str, tmp_path: pathlib.Path, scratch: bool
) -> None:
    place = str(tmp_path / "scratch") if scratch else None
    path = f"{folder}/x.txt"
    files.write_text(path, "before")

    def write(text: str, *, fail: bool) -> None:
        with files.written_file(path, place) as temporary:
            temporary.write_text(text)
            if fail:
                raise KeyError("broken")

    with pytest.raises(KeyError):
        write("half", fail=True)
    assert files.read_text(path) == "before"
    write("after", fail=False)
    assert files.read_text(path) == "after"
    left = [p for p in tmp_path.rglob("*") if p.is_file() and p.name != "x.txt"]
    assert left == []


def test_emptying_a_folder_leaves_its_neighbours(s3: Any, bucket: str) -> None:
    files.write_text(f"s3://{bucket}/root/1/x", "1")
    files.write_text(f"s3://{bucket}/root/10/x", "10")
    files.empty_folder(f"s3://{bucket}/root/1")
    assert files.matching(f"s3://{bucket}/root/10", "*") == [f"s3://{bucket}/root/10/x"]
