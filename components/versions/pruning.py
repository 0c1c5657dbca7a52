"""Deletion of old versions, never of one that is needed.

A version is deleted whole or not at all for servers: its folder is renamed first, and in an object
store `saved_model.pb` is deleted first, without which no server loads a version.
"""

from __future__ import annotations

import dataclasses
import os
import secrets
import shutil
import time
from collections.abc import Collection, Mapping

from components.common.errors import UsageError
from components.common.model_contract import SAVED_MODEL
from components.storage import objects
from components.storage.uri import is_remote, join
from components.versions import labels
from components.versions.adding import CLAIMS_FOLDER, PARTIAL_PREFIX
from components.versions.folder import VersionFolder, list_versions

PRUNED_PREFIX = ".pruned-"
# No push takes longer. What is incomplete, or has a temporary name, after that is left over.
LEFT_OVER_SECONDS = 24 * 3600


@dataclasses.dataclass(frozen=True)
class Plan:
    """Versions to delete and to keep.

    Attributes:
      delete: versions to delete, oldest first.
      kept: for each other version the reason to keep it.
    """

    delete: tuple[VersionFolder, ...]
    kept: Mapping[int, str]

    @property
    def freed_bytes(self) -> int:
        """Size of what is deleted."""
        return sum(version.size_bytes for version in self.delete)


def plan(models: str, keep: int, served: Collection[int] = ()) -> Plan:
    """Return which versions a prune deletes.

    Args:
      models: the folder of the model's versions; a path or an s3:// URI.
      keep: number of complete versions to keep, the newest first.
      served: versions that a server serves or loads.

    Raises:
      UsageError: `keep` is less than 1.
      DataError: the labels cannot be read.
      StorageError: the object store cannot be read.
    """
    if keep < 1:
        raise UsageError(f"--keep {keep}: at least 1 version must be kept")
    versions = list_versions(models)
    named = labels.read_labels(models)
    complete = [one.number for one in versions.values() if one.is_complete]
    kept: dict[int, str] = {}
    for number, version in versions.items():
        if found := named.of(number):
            kept[number] = f"has the label {', '.join(found)}"
        elif number in named.loading:
            kept[number] = "is to be loaded for a label"
        elif number in served:
            kept[number] = "is served"
        elif number in complete[-keep:]:
            kept[number] = "is the newest" if number == complete[-1] else f"of the newest {keep}"
        elif not version.is_complete and not _is_left_over(number, complete):
            kept[number] = "is incomplete, and may still be copied"
    return Plan(tuple(one for number, one in versions.items() if number not in kept), kept)


def carry_out(models: str, plan: Plan) -> list[int]:
    """Delete what a plan says, and what killed commands left over; return the deleted versions.

    A version that became the newest complete one meanwhile, or got a label, stays.

    Raises:
      StorageError: the object store cannot be written.
      OSError: a folder cannot be deleted.
    """
    deleted = []
    for version in plan.delete:
        named = labels.read_labels(models)
        newest = max(one.number for one in list_versions(models).values() if one.is_complete)
        if version.number >= newest or named.of(version.number) or version.number in named.loading:
            continue
        _delete(models, version)
        deleted.append(version.number)
    labels.refresh(models)
    _sweep(models)
    return deleted


def _is_left_over(number: int, complete: list[int]) -> bool:
    """Return whether an incomplete version is what a push left that failed long ago."""
    newest = complete[-1] if complete else -1
    return number < newest and number < time.time() - LEFT_OVER_SECONDS


def _delete(models: str, version: VersionFolder) -> None:
    if is_remote(models):
        objects.delete(join(version.uri, SAVED_MODEL))
        objects.delete_below(version.uri)
        return
    aside = os.path.join(models, f"{PRUNED_PREFIX}{version.number}-{secrets.token_hex(4)}")
    try:
        os.rename(version.uri, aside)
    except FileNotFoundError:  # another prune was faster
        return
    except OSError:  # a mounted object store may be unable to rename a folder
        aside = version.uri
        if os.path.exists(os.path.join(aside, SAVED_MODEL)):
            os.remove(os.path.join(aside, SAVED_MODEL))
    _remove(aside)


def _sweep(models: str) -> None:
    """Delete what killed pushes, rollbacks and prunes left."""
    before = time.time() - LEFT_OVER_SECONDS
    if is_remote(models):
        for item in objects.list_objects(f"{join(models, CLAIMS_FOLDER)}/"):
            name = item.uri.split("/")[-2]
            if name.isdecimal() and int(name) < before:
                objects.delete(item.uri)
        return
    for name in os.listdir(models):
        path = os.path.join(models, name)
        if name.startswith((PARTIAL_PREFIX, PRUNED_PREFIX)) and os.lstat(path).st_ctime < before:
            _remove(path)


def _remove(path: str) -> None:
    if os.path.islink(path):
        os.remove(path)
    else:
        shutil.rmtree(path, ignore_errors=True)
