"""Versions of a model in its folder: on a disk, or in an object store."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping

from components.common.version_files import VERSION_NAME, missing_file
from components.storage import objects
from components.storage.uri import is_remote, join


@dataclasses.dataclass(frozen=True)
class VersionFolder:
    """Folder of one version.

    Attributes:
      number: the version's number.
      uri: its path or s3:// URI.
      files: bytes of each file by its path below the folder.
    """

    number: int
    uri: str
    files: Mapping[str, int]

    @property
    def missing(self) -> str | None:
        """The first file that a complete version would have and this one lacks, or None."""
        return missing_file(self.files)

    @property
    def is_complete(self) -> bool:
        """True if no file is missing, so that a server can load it."""
        return self.missing is None

    @property
    def size_bytes(self) -> int:
        """Size of all files together."""
        return sum(self.files.values())


def list_versions(models: str) -> dict[int, VersionFolder]:
    """Return the versions of a model by number, in ascending order; {} without a folder.

    Args:
      models: the folder of the model's versions; a path or an s3:// URI.

    Raises:
      StorageError: the object store cannot be read.
      OSError: the folder cannot be read.
    """
    found = _listed_objects(models) if is_remote(models) else _listed_files(models)
    # Of "1" and "01" the shorter name counts, as on the server.
    names = sorted(found, key=lambda name: (int(name), -len(name)))
    return {int(name): VersionFolder(int(name), join(models, name), found[name]) for name in names}


def complete_versions(models: str) -> list[str]:
    """Return the names of the complete versions, oldest first."""
    return [os.path.basename(v.uri) for v in list_versions(models).values() if v.is_complete]


def _listed_objects(models: str) -> dict[str, dict[str, int]]:
    prefix = f"{models.rstrip('/')}/"
    found: dict[str, dict[str, int]] = {}
    for item in objects.list_objects(prefix):
        name, _, path = item.uri[len(prefix) :].partition("/")
        if VERSION_NAME.fullmatch(name) and path:
            found.setdefault(name, {})[path] = item.state.size_bytes
    return found


def _listed_files(models: str) -> dict[str, dict[str, int]]:
    try:
        names = os.listdir(models)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    return {
        name: _files_below(os.path.join(models, name))
        for name in names
        if VERSION_NAME.fullmatch(name) and os.path.isdir(os.path.join(models, name))
    }


def _files_below(folder: str) -> dict[str, int]:
    found = {}
    for root, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(root, name)
            try:
                found[os.path.relpath(path, folder).replace(os.sep, "/")] = os.path.getsize(path)
            except OSError:  # deleted meanwhile, or a link that leads nowhere
                continue
    return found
