"""A data folder on this machine's file system."""

from __future__ import annotations

import contextlib
import functools
import os
import stat
from typing import TextIO

from components.common.errors import DatasetError
from components.datasets.files.base import REMEDY, Entry, FileStatus

MAX_CACHED_FOLDERS = 10_000


class LocalFiles:
    """Local data folder, safe against links that leave it; see DataFiles."""

    scheme = ""

    def __init__(self, root: str) -> None:
        self.root = os.path.abspath(root)
        self._real_folders: dict[str, str] = {}

    @functools.cached_property
    def _real_root(self) -> str:
        return os.path.realpath(self.root)

    def check(self, remedy: str = REMEDY) -> None:
        root = self.root
        try:
            with os.scandir(root) as entries:
                empty = next(entries, None) is None
        except FileNotFoundError as error:
            raise DatasetError(f"{root}: the data folder does not exist; {remedy}") from error
        except NotADirectoryError as error:
            raise DatasetError(f"{root}: the data folder is not a folder; {remedy}") from error
        except (OSError, ValueError) as error:
            raise DatasetError(
                f"{root}: the data folder cannot be read: {error}; {remedy}"
            ) from error
        if empty:
            raise DatasetError(f"{root}: the data folder is empty; {remedy}")

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

    def status(self, uri: str) -> FileStatus:
        folder, name = os.path.split(uri)
        real = os.path.join(self._real_folder(folder), name)
        if os.path.islink(real):
            real = os.path.realpath(real)
        return FileStatus(real, self._problem(real))

    def _real_folder(self, folder: str) -> str:
        """Return os.path.realpath of a normalised path.

        Thousands of files share a folder, and folders share parents. So each folder is
        resolved once, starting from its resolved parent.
        """
        if len(self._real_folders) > MAX_CACHED_FOLDERS:
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
            return "outside_root", f"it resolves to {real}"
        try:
            result = os.stat(real)
        except OSError as error:
            return "missing_file", error.strerror or "cannot be opened"
        if not stat.S_ISREG(result.st_mode):
            return "missing_file", "not a regular file"
        if result.st_size == 0:
            return "empty_file", "0 bytes"
        return None

    def _inside(self, real: str) -> bool:
        return os.path.commonpath([real, self._real_root]) == self._real_root


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, or a disk error; opening it will show which
        return False
