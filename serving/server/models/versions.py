"""Versions of a model on disk: which there are, which are complete, and which to serve.

By TensorFlow Serving's rule, every folder below `base_path` that is named by a number is a
version. TensorFlow Serving loads a version as soon as its folder exists, so one that is still
being copied fails. Here a version counts once all its files exist and have stopped changing.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import pathlib
import stat
import time
from collections.abc import Iterable, Iterator

from components.common.model_contract import SAVED_MODEL
from components.common.version_files import VERSION_NAME, missing_file
from serving.model.model_files import follow_links
from serving.server.config.settings import VersionPolicy

# A model has about ten files; a folder with more than this is something else.
MAX_FILES = 10_000

# For every file of a version: path below its folder, bytes, time of modification, of change.
Fingerprint = tuple[tuple[str, int, int, int], ...]


@dataclasses.dataclass(frozen=True)
class VersionFolder:
    """State of a version's folder when it was inspected.

    Attributes:
      number: the version's number.
      path: the folder.
      fingerprint: its files.
      missing: the first file that a complete SavedModel would have and this one lacks, or None.
      refused: why the version must not be loaded even if complete, or None.
      changed_at: time of the last change to anything in the folder, in seconds since 1970.
        Unlike the time of modification, no program can set it back.
    """

    number: int
    path: pathlib.Path
    fingerprint: Fingerprint = ()
    missing: str | None = None
    refused: str | None = None
    changed_at: float = 0.0

    def is_settled(self, before: VersionFolder | None, quiet_s: float) -> bool:
        """Return whether nothing is being written in the folder.

        Args:
          before: the same folder when it was last inspected, or None.
          quiet_s: seconds without changes that suffice if `before` is not the same.
        """
        unchanged = before is not None and before.fingerprint == self.fingerprint
        return unchanged or 0 <= quiet_s < time.time() - self.changed_at


class NoFolderError(OSError):
    """Error for a base path that does not exist or cannot be read."""


def list_versions(base_path: pathlib.Path) -> dict[int, pathlib.Path]:
    """Return the folder of each version by number.

    A base path that is itself a SavedModel is one version; its number is its name's, or 1.

    Raises:
      NoFolderError: there is no such folder.
    """
    try:
        if (base_path / SAVED_MODEL).is_file():
            name = base_path.resolve().name
            return {int(name) if VERSION_NAME.fullmatch(name) else 1: base_path}
        names = sorted(entry.name for entry in base_path.iterdir() if _is_folder(entry))
    except OSError as error:
        raise NoFolderError(f"{base_path}: {error.strerror or error}") from error
    # Of "1" and "01" the shorter name counts: it comes last here.
    numbered = sorted((name for name in names if VERSION_NAME.fullmatch(name)), key=len)
    return {int(name): base_path / name for name in reversed(numbered)}


def candidates(found: Iterable[int], policy: VersionPolicy) -> list[int]:
    """Return the versions that the policy may choose, the first choice first."""
    if policy.kind == "specific":
        found = set(found) & set(policy.versions)
    return sorted(found, reverse=True)


def max_served(policy: VersionPolicy) -> float:
    """Return how many versions the policy serves at most."""
    return policy.count if policy.kind == "latest" else float("inf")


def inspect(number: int, path: pathlib.Path, root: pathlib.Path) -> VersionFolder:
    """Inspect a version's folder without opening any file.

    Args:
      number: the version's number.
      path: its folder.
      root: the model's base path; links that leave it are refused.
    """
    try:
        inside = follow_links(root)
        if not follow_links(path).is_relative_to(inside):
            return VersionFolder(
                number, path, refused=f"{path.name} is a link that leads out of {root}"
            )
        return _inspect(number, path, inside)
    except OSError as error:
        if error.errno == errno.ELOOP:
            refused = f"{path.name} holds a link that leads to itself"
            return VersionFolder(number, path, refused=refused)
        # Gone, or being replaced: the next poll inspects it again.
        return VersionFolder(number, path, missing=f"{error.filename} ({error.strerror})")


def _is_folder(path: pathlib.Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # an unreadable entry must not hide the others
        return False


def _inspect(number: int, path: pathlib.Path, root: pathlib.Path) -> VersionFolder:
    entries: list[tuple[str, int, int, int]] = []
    changed_ns = path.stat().st_ctime_ns
    refused = None
    for name, status in _walk(path, root):
        if isinstance(status, str):
            refused = f"{name} {status}"
            break
        changed_ns = max(changed_ns, status.st_ctime_ns)
        if stat.S_ISREG(status.st_mode):
            entries.append((name, status.st_size, status.st_mtime_ns, status.st_ctime_ns))
        if len(entries) > MAX_FILES:
            refused = f"{path.name} holds more than {MAX_FILES} files"
            break
    files = {name: size for name, size, *_ in entries}
    return VersionFolder(
        number, path, tuple(sorted(entries)), missing_file(files), refused, changed_ns / 1e9
    )


def _walk(path: pathlib.Path, root: pathlib.Path) -> Iterator[tuple[str, os.stat_result | str]]:
    """Yield each file and folder below `path`: its name, and its status or why it is refused."""
    folders = [path]
    while folders:
        for entry in sorted(os.scandir(folders.pop()), key=lambda entry: entry.name):
            here = pathlib.Path(entry.path)
            name = here.relative_to(path).as_posix()
            if entry.is_symlink() and not follow_links(here).is_relative_to(root):
                yield name, "is a link that leads out of the model's folder"
                return
            status = entry.stat()
            if stat.S_ISDIR(status.st_mode) and not entry.is_symlink():
                folders.append(here)
            elif not stat.S_ISREG(status.st_mode):
                yield name, "is not a regular file"
                return
            yield name, status
