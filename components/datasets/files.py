"""The data folder as readers see it, wherever it lies: on a disk or in an object store."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import stat
from typing import Protocol, TextIO

from components.datasets.errors import DatasetError
from components.storage.objects import ObjectState
from components.storage.uri import is_remote, place

MAX_FOLDERS_KNOWN = 10_000


@dataclasses.dataclass(frozen=True, order=True)
class Entry:
    """One name in a folder."""

    name: str
    is_folder: bool


@dataclasses.dataclass(frozen=True)
class Found:
    """What lies at a track's uri.

    `identity` is the same for two uris that lead to the same file. `problem` is (reject
    reason, detail) where the file cannot be a track's, else None. `state` is known of
    objects, and None of local files.
    """

    identity: str
    problem: tuple[str, str] | None = None
    state: ObjectState | None = None


class DataFiles(Protocol):
    """What a reader may ask of a data folder. Paths are relative to it, or whole uris.

    Raises:
      DatasetError: from any method, where the folder itself cannot be used.
      components.storage.errors.StorageError: an object store cannot be asked.
    """

    root: str
    scheme: str

    def check(self) -> None:
        """Raises DatasetError unless the folder is there and holds something."""

    def uri(self, path: str, base: str = "") -> str:
        """The whole, normalised uri of a path relative to `base` (itself relative to the
        root); of a uri or an absolute path that of itself. May lead outside the folder."""

    def relative(self, uri: str) -> str:
        """The path of a uri relative to the root."""

    def leads_outside(self, uri: str) -> str | None:
        """Where a uri really leads if that is outside the folder, else None."""

    def is_file(self, path: str) -> bool:
        """Whether a file is there."""

    def is_folder(self, path: str) -> bool:
        """Whether a folder is there."""

    def entries(self, folder: str) -> list[Entry]:
        """The names in a folder, sorted, hidden ones included; OSError if it is unreadable."""

    def is_link(self, folder: str) -> bool:
        """Whether a folder is a link to another one."""

    def open_text(self, path: str) -> contextlib.AbstractContextManager[TextIO]:
        """A UTF-8 file to read, a byte-order mark dropped, line ends as they are; OSError."""

    def find(self, uri: str) -> Found:
        """What lies at a whole uri."""


def open_files(data_dir: str) -> DataFiles:
    """The data folder at a path or an s3:// URI; looks at nothing yet.

    Raises:
      UriError: a URI of another scheme, or a bad one.
    """
    root = place(data_dir, "the data folder")
    if is_remote(root):
        from components.datasets.s3_files import S3Files

        return S3Files(root)
    return LocalFiles(root)


class LocalFiles:
    """A folder of this machine's file system; safe against links that leave it."""

    scheme = ""

    def __init__(self, root: str) -> None:
        self.root = os.path.abspath(root)
        self._real_folders: dict[str, str] = {}

    @functools.cached_property
    def _real_root(self) -> str:
        return os.path.realpath(self.root)

    def check(self) -> None:
        root = self.root
        try:
            with os.scandir(root) as entries:
                empty = next(entries, None) is None
        except FileNotFoundError as error:
            raise DatasetError(f"{root}: the data folder does not exist") from error
        except NotADirectoryError as error:
            raise DatasetError(f"{root}: the data folder is not a folder") from error
        except (OSError, ValueError) as error:
            raise DatasetError(f"{root}: the data folder cannot be read: {error}") from error
        if empty:
            raise DatasetError(f"{root}: the data folder is empty")

    def uri(self, path: str, base: str = "") -> str:
        return os.path.normpath(os.path.join(self.root, base, path))

    def relative(self, uri: str) -> str:
        return os.path.relpath(uri, self.root)

    def leads_outside(self, uri: str) -> str | None:
        real = os.path.realpath(uri)
        return None if self._inside(real) else real

    def is_file(self, path: str) -> bool:
        return os.path.isfile(self.uri(path))

    def is_folder(self, path: str) -> bool:
        return os.path.isdir(self.uri(path))

    def entries(self, folder: str) -> list[Entry]:
        with os.scandir(os.path.join(self.root, folder)) as entries:
            return sorted(Entry(entry.name, _is_folder(entry)) for entry in entries)

    def is_link(self, folder: str) -> bool:
        return os.path.islink(os.path.join(self.root, folder))

    def open_text(self, path: str) -> contextlib.AbstractContextManager[TextIO]:
        return open(self.uri(path), encoding="utf-8-sig", newline="")

    def find(self, uri: str) -> Found:
        folder, name = os.path.split(uri)
        real = os.path.join(self._real_folder(folder), name)
        if os.path.islink(real):
            real = os.path.realpath(real)
        return Found(real, self._problem(real))

    def _real_folder(self, folder: str) -> str:
        """os.path.realpath of a normalised path. Thousands of files share a folder, and its
        parents are those of others: each is resolved once, by what it adds to its parent."""
        if len(self._real_folders) > MAX_FOLDERS_KNOWN:
            self._real_folders.clear()
        names: list[str] = []
        top = folder
        while top not in self._real_folders and top not in (self.root, os.path.dirname(top)):
            top, name = os.path.split(top)
            names.append(name)
        real = self._real_folders.get(top) or os.path.realpath(top)
        for name in reversed(names):
            real = os.path.join(real, name)
            if os.path.islink(real):
                real = os.path.realpath(real)
            top = os.path.join(top, name)
            self._real_folders[top] = real
        return real

    def _problem(self, real: str) -> tuple[str, str] | None:
        if not self._inside(real):
            return "outside_root", f"leads to {real}"
        try:
            status = os.stat(real)
        except OSError as error:
            return "missing_file", error.strerror or "cannot be opened"
        if not stat.S_ISREG(status.st_mode):
            return "missing_file", "not a regular file"
        if status.st_size == 0:
            return "empty_file", "0 bytes"
        return None

    def _inside(self, real: str) -> bool:
        return os.path.commonpath([real, self._real_root]) == self._real_root


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, or a disk fault: opening it will say which
        return False
