"""Which versions of a model lie in its folder, which are complete, and which are wanted.

TensorFlow Serving's rule: every folder below `base_path` that is named by a number is a
version. It loads one as soon as the folder is there; a version that is being copied would
fail. Here one counts once all its files are there and have stopped changing.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
import stat
import time
from collections.abc import Iterable, Iterator, Mapping

from components.common.model_contract import SAVED_MODEL
from serving.model.model_files import VARIABLES_INDEX, VERSION_NAME
from serving.server.config.settings import VersionPolicy

# A model has some ten files; a folder with more than this is something else.
MAX_FILES = 10_000
_DATA_FILE = re.compile(r"variables\.data-(\d{5})-of-(\d{5})", re.ASCII)

# Path below the version's folder, size in bytes, and when it changed, for every file in it.
Fingerprint = tuple[tuple[str, int, int, int], ...]


@dataclasses.dataclass(frozen=True)
class Version:
    """One version's folder as it looked.

    `lacking`: the file that a complete SavedModel would have and this has not, or None.
    `refused`: why it must not be loaded, however complete, or None.
    `changed_at`: when anything in it changed last, in seconds since 1970; no program can set
    this back, as it can the time of modification.
    """

    number: int
    path: pathlib.Path
    fingerprint: Fingerprint = ()
    lacking: str | None = None
    refused: str | None = None
    changed_at: float = 0.0

    def is_settled(self, before: Version | None, quiet_s: float) -> bool:
        """Whether nobody is writing in it: unchanged since the last look, or for `quiet_s`."""
        unchanged = before is not None and before.fingerprint == self.fingerprint
        return unchanged or 0 <= quiet_s < time.time() - self.changed_at


class NoFolderError(OSError):
    """The base path is not there, or cannot be read; the message says so."""


def list_versions(base_path: pathlib.Path) -> dict[int, pathlib.Path]:
    """Number to folder. A base path that is itself a SavedModel is one version, with its own
    number or 1.

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
    # Of 1 and 01 the shorter one counts: it is sorted last.
    numbered = sorted((name for name in names if VERSION_NAME.fullmatch(name)), key=len)
    return {int(name): base_path / name for name in reversed(numbered)}


def in_order(found: Iterable[int], policy: VersionPolicy) -> list[int]:
    """Those that the policy can mean, the first choice first."""
    if policy.kind == "specific":
        found = set(found) & set(policy.versions)
    return sorted(found, reverse=True)


def most(policy: VersionPolicy) -> float:
    """How many of them are served."""
    return policy.count if policy.kind == "latest" else float("inf")


def look_at(number: int, path: pathlib.Path, root: pathlib.Path) -> Version:
    """One version's files, without opening any.

    Args:
      number: the version.
      path: its folder.
      root: the model's base path: links out of it are refused.
    """
    try:
        inside = root.resolve()
        if not path.resolve().is_relative_to(inside):
            return Version(number, path, refused=f"{path.name} is a link that leads out of {root}")
        return _look_at(number, path, inside)
    except OSError as error:  # gone, or being replaced: it is looked at again
        return Version(number, path, lacking=f"{error.filename} ({error.strerror})")
    except RuntimeError:  # how Python 3.10 tells of links in a circle
        return Version(number, path, refused=f"{path.name} holds a link that leads to itself")


def _is_folder(path: pathlib.Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # one entry that cannot be read hides no others
        return False


def _look_at(number: int, path: pathlib.Path, root: pathlib.Path) -> Version:
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
    return Version(number, path, tuple(sorted(entries)), _lacking(files), refused, changed_ns / 1e9)


def _walk(path: pathlib.Path, root: pathlib.Path) -> Iterator[tuple[str, os.stat_result | str]]:
    """Every file and folder below `path`: its name and status, or why it is refused."""
    folders = [path]
    while folders:
        for entry in sorted(os.scandir(folders.pop()), key=lambda entry: entry.name):
            here = pathlib.Path(entry.path)
            name = here.relative_to(path).as_posix()
            if entry.is_symlink() and not here.resolve().is_relative_to(root):
                yield name, "is a link that leads out of the model's folder"
                return
            status = entry.stat()
            if stat.S_ISDIR(status.st_mode) and not entry.is_symlink():
                folders.append(here)
            elif not stat.S_ISREG(status.st_mode):
                yield name, "is no plain file"
                return
            yield name, status


def _lacking(files: Mapping[str, int]) -> str | None:
    """The first file that is missing or empty. How many files of variables there are, each
    one's name says."""
    for name in (SAVED_MODEL, VARIABLES_INDEX):
        if not files.get(name):
            return name
    shards = [
        match for name in files if (match := _DATA_FILE.fullmatch(name.removeprefix("variables/")))
    ]
    if not shards:
        return "variables/variables.data-00000-of-00001"
    total = shards[0].group(2)
    have = {match.group(1) for match in shards if match.group(2) == total}
    for index in range(int(total)):
        if f"{index:05d}" not in have:
            return f"variables/variables.data-{index:05d}-of-{total}"
    return None
