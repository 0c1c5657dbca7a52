"""Rollback: an earlier version serves again, as a copy with a new number.

Servers serve the highest number. A copy under a new one makes them change back by their ordinary
rule, on a disk and in an object store, and nothing is deleted: the version that was bad can be
examined, and rolled forward to.
"""

from __future__ import annotations

import dataclasses
import time

from components.common.errors import DataError, UsageError
from components.versions import adding, labels
from components.versions.folder import VersionFolder, list_versions
from components.versions.record import Rollback, VersionRecord, read_record, utc


@dataclasses.dataclass(frozen=True)
class RolledBack:
    """Outcome of a rollback.

    Attributes:
      version: the new version.
      copy_of: the version that was pushed with its files.
      rolled_back_from: the version that served before.
      newer: a version that someone else added meanwhile, and that servers serve instead, or None.
    """

    version: int
    copy_of: int
    rolled_back_from: int
    newer: int | None = None


def roll_back(models: str, to: int | None = None) -> RolledBack:
    """Copy a version under a new number above all others.

    Args:
      models: the folder of the model's versions; a path or an s3:// URI.
      to: the version; None for the one that served before the present one.

    Raises:
      UsageError: there is nothing to roll back to, the version does not exist, is incomplete, or
        serves already.
      VersionGone: it was deleted meanwhile.
      StorageError: the object store cannot be read or written.
    """
    complete = {one.number: one for one in list_versions(models).values() if one.is_complete}
    if not complete:
        raise UsageError(f"{models}: there is no complete version; push one first")
    present = max(complete)
    origins = {number: _record(version).origin for number, version in complete.items()}
    if to is None:
        others = [number for number in complete if origins[number] != origins[present]]
        if not others:
            raise UsageError(
                f"{models}: no other version served before {present}; there is nothing to roll "
                "back to"
            )
        to = max(others)
    if to not in complete:
        raise UsageError(labels.no_version(models, to))
    if origins[to] == origins[present]:
        same = "" if to == present else f", as version {present}"
        raise UsageError(f"version {to} in {models} is the newest already{same}")
    record = _record(complete[to])
    rollback = Rollback(copy_of=record.origin, rolled_back_from=present, at=utc(time.time()))

    def text(number: int) -> str:
        return dataclasses.replace(record, version=number, rollback=rollback).to_text()

    number = adding.add_copy(models, complete[to], text)
    labels.refresh(models)
    newest = max(one.number for one in list_versions(models).values() if one.is_complete)
    return RolledBack(number, record.origin, present, newest if newest > number else None)


def _record(version: VersionFolder) -> VersionRecord:
    """Return a version's record, or what its number tells.

    A damaged record must not stand in the way of a rollback.
    """
    try:
        found = read_record(version.uri)
    except DataError:
        found = None
    return found or VersionRecord(version=version.number, pushed_at=utc_of(version.number))


def utc_of(number: int) -> str:
    """Return when a version without a record was pushed, as its number tells; "" if it does not."""
    # Numbers are seconds since 1970. Others count from 1.
    return utc(number) if 10**9 <= number < 10**11 else ""
