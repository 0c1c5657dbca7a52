"""Unpacking of archives: no file leaves the folder, which appears whole or not at all."""

from __future__ import annotations

import contextlib
import lzma
import os
import pathlib
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Any

from components.common.errors import DataError

# Called with the bytes that are unpacked, and with those of all files.
Progress = Callable[[int, int], None]

_BLOCK_BYTES = 1 << 20

_DAMAGED = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError,
    NotImplementedError,
)  # fmt: skip


class ArchiveError(DataError):
    """Error for an archive that is damaged, or holds what it must not."""


def unpack(path: pathlib.Path, folder: str, target: pathlib.Path, progress: Progress) -> None:
    """Unpack one folder of an archive.

    Args:
      path: a zip or tar file.
      folder: the folder at its top; files elsewhere are refused.
      target: the folder to make of it; must not exist.
      progress: told about each block.

    Raises:
      ArchiveError: the archive is damaged, or has a link, a device, or a path out of its folder.
      OSError: a file cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix=f".{target.name}-", suffix=".unpacking", dir=target.parent
    ) as scratch:
        try:
            with _opened(path) as members:
                whole = sum(size for _, size, _ in members)
                done = 0
                for name, size, opened in members:
                    inside = pathlib.Path(scratch, *_parts(path, name, folder))
                    inside.parent.mkdir(parents=True, exist_ok=True)
                    left = size
                    with opened() as source, inside.open("wb") as sink:
                        while block := source.read(_BLOCK_BYTES):
                            left -= len(block)
                            if left < 0:
                                raise ArchiveError(f"{path}: {name} is larger than it says")
                            sink.write(block)
                            done += len(block)
                            progress(done, whole)
        except (*_DAMAGED, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the disk's; bz2 and gzip raise one without a number
            raise ArchiveError(f"{path}: cannot be unpacked ({error})") from error
        made = pathlib.Path(scratch, folder)
        if not made.is_dir():
            raise ArchiveError(f"{path}: holds no folder {folder}")
        os.rename(made, target)


def remove_leftovers(target: pathlib.Path) -> None:
    """Remove what killed attempts at unpacking into a folder have left."""
    for path in target.parent.glob(f".{target.name}-*.unpacking"):
        shutil.rmtree(path, ignore_errors=True)


Member = tuple[str, int, Callable[[], IO[bytes]]]


@contextlib.contextmanager
def _opened(path: pathlib.Path) -> Iterator[list[Member]]:
    """Yield name, size and opener of an archive's files."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            yield [
                _zip_member(path, archive, info) for info in archive.infolist() if not info.is_dir()
            ]
    else:
        with tarfile.open(path) as archive:
            yield [_tar_member(path, archive, info) for info in archive if not info.isdir()]


def _zip_member(path: pathlib.Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    kind = stat.S_IFMT(info.external_attr >> 16)  # of Unix; 0 if another system made it
    if kind not in (0, stat.S_IFREG):
        raise ArchiveError(f"{path}: {info.filename} is no ordinary file")
    return info.filename, info.file_size, lambda: archive.open(info)


def _tar_member(path: pathlib.Path, archive: tarfile.TarFile, info: tarfile.TarInfo) -> Member:
    if not info.isfile():
        raise ArchiveError(f"{path}: {info.name} is no ordinary file")

    def opened() -> Any:
        return archive.extractfile(info)

    return info.name, info.size, opened


def _parts(path: pathlib.Path, name: str, folder: str) -> list[str]:
    """Return the parts of a file's path, which lies in a folder."""
    parts = name.removeprefix("./").split("/")
    if (
        len(parts) < 2
        or parts[0] != folder
        or any(part in ("", ".", "..") or "\\" in part or "\0" in part for part in parts)
    ):
        raise ArchiveError(f"{path}: {name!r} is not a path in the folder {folder}")
    return parts
