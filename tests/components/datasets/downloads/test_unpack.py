"""Unpacking of archives that are whole, damaged, or made to write elsewhere."""

from __future__ import annotations

import io
import pathlib
import struct
import tarfile
import zipfile
from collections.abc import Callable

import pytest

from components.datasets.downloads.unpack import ArchiveError, remove_leftovers, unpack

FILES = {"music/000/1.mp3": b"one" * 1000, "music/a.csv": b"id\n1\n", "music/empty": b""}


def _zip(path: pathlib.Path, files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> None:
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("music/", "")
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, method)


def _tar(path: pathlib.Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        folder = tarfile.TarInfo("music")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def _bzip2(path: pathlib.Path, files: dict[str, bytes]) -> None:
    """Make an archive as FMA's, which many programs cannot unpack."""
    _zip(path, files, zipfile.ZIP_BZIP2)


Make = Callable[[pathlib.Path, dict[str, bytes]], None]


def _unpack(path: pathlib.Path) -> list[tuple[int, int]]:
    seen: list[tuple[int, int]] = []
    unpack(path, "music", path.parent / "out" / "music", lambda *now: seen.append(now))
    return seen


@pytest.mark.parametrize("make", [_zip, _bzip2, _tar])
def test_all_files_are_written_and_told(tmp_path: pathlib.Path, make: Make) -> None:
    make(tmp_path / "a", FILES)
    seen = _unpack(tmp_path / "a")
    out = tmp_path / "out"
    written = {p.relative_to(out).as_posix(): p.read_bytes() for p in out.rglob("*") if p.is_file()}
    assert written == FILES
    assert seen[-1] == (3005, 3005)


@pytest.mark.parametrize("make", [_zip, _tar])
@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "/etc/x",
        "music/../../x",
        "other/x",
        "music//x",
        "music/./x",
        "music\\..\\x",
        "music",
    ],
)
def test_a_path_out_of_the_folder_is_refused_before_it_is_written(
    tmp_path: pathlib.Path, make: Make, name: str
) -> None:
    make(tmp_path / "a", {"music/good": b"", name: b"bad"})
    with pytest.raises(ArchiveError, match=r"is not a path in the folder music|cannot be unpacked"):
        _unpack(tmp_path / "a")
    assert [path.name for path in tmp_path.rglob("*")] in (["a", "out"], ["out", "a"])


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE])
def test_links_and_devices_are_refused(tmp_path: pathlib.Path, kind: bytes) -> None:
    with tarfile.open(tmp_path / "a", "w:gz") as archive:
        info = tarfile.TarInfo("music/passwd")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    with pytest.raises(ArchiveError, match="music/passwd is no ordinary file"):
        _unpack(tmp_path / "a")


def test_links_in_zips_are_refused(tmp_path: pathlib.Path) -> None:
    info = zipfile.ZipInfo("music/passwd")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(ArchiveError, match="music/passwd is no ordinary file"):
        _unpack(tmp_path / "a")


# A tar's content has no checksum of its own.
@pytest.mark.parametrize("make", [_zip, _bzip2])
def test_a_damaged_archive_leaves_nothing(tmp_path: pathlib.Path, make: Make) -> None:
    make(tmp_path / "a", {"music/x": bytes(range(256)) * 500})
    content = bytearray((tmp_path / "a").read_bytes())
    middle = len(content) // 3
    content[middle : middle + 40] = b"\xff" * 40
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(ArchiveError, match="cannot be unpacked"):
        _unpack(tmp_path / "a")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_file_larger_than_it_says_is_refused(tmp_path: pathlib.Path) -> None:
    _zip(tmp_path / "a", {"music/x": b"x" * 100000})
    content = (tmp_path / "a").read_bytes()
    small = content.replace(struct.pack("<I", 100000), struct.pack("<I", 10))
    (tmp_path / "a").write_bytes(small)
    with pytest.raises(ArchiveError, match=r"larger than it says|cannot be unpacked"):
        _unpack(tmp_path / "a")


def test_an_archive_of_something_else_is_refused(tmp_path: pathlib.Path) -> None:
    _zip(tmp_path / "a", {})
    with zipfile.ZipFile(tmp_path / "b", "w"):
        pass
    with pytest.raises(ArchiveError, match="holds no folder music"):
        _unpack(tmp_path / "b")


def test_what_a_killed_attempt_left_is_removed(tmp_path: pathlib.Path) -> None:
    left = tmp_path / ".music-abc.unpacking"
    left.mkdir()
    (left / "x").touch()
    (tmp_path / ".musical-abc.unpacking").mkdir()
    remove_leftovers(tmp_path / "music")
    assert [path.name for path in tmp_path.iterdir()] == [".musical-abc.unpacking"]
