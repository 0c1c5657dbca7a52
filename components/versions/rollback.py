"""Rollback: an earlier version serves again, as a copy with a new number.

Servers serve the highest number. A copy under a new one makes them change back by their ordinary
rule, on a disk and in an object store, and nothing is deleted: the version that was bad can be
examined, and rolled forward to. A rollback to an earlier version is recorded, so that no run pushes
the model that it replaced again; a rollback to that version withdraws the record.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterator, Mapping

from components.common.errors import DataError, UsageError
from components.versions import adding, labels, rolled_back
from components.versions.folder import VersionFolder, list_versions
from components.versions.record import Rollback, VersionRecord, read_record, utc


@dataclasses.dataclass(frozen=True)
class RolledBack:
    """Outcome of a rollback.

    Attributes:
      version: the new version.
      copy_of: the version that was pushed with its files.
      rolled_back_from: the version that served before.
      refused: the pushed version whose model runs do not push again; None if none is, since the
        rollback was to a later version, or that model's card does not identify it.
      newer: a version that someone else added meanwhile, and that servers serve instead, or None.
    """

    version: int
    copy_of: int
    rolled_back_from: int
    refused: int | None = None
    newer: int | None = None


def roll_back(models: str, to: int | None = None, reason: str = "") -> RolledBack:
    """Copy a version under a new number above all others.

    Args:
      models: the folder of the model's versions; a path or an s3:// URI.
      to: the version; None for the one that served before the present one.
      reason: why, for people; "" for none.

    Raises:
      UsageError: there is nothing to roll back to, the version does not exist, is incomplete, or
        serves already, or the reason is too long.
      VersionGone: it was deleted meanwhile.
      StorageError: the object store cannot be read or written.
    """
    rolled_back.check_reason(reason)
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

    # Recorded first: a command that is killed between the two must not leave the copy alone.
    with _recorded(models, complete[present], origins, to, rollback.at, reason) as refused:
        number = adding.add_copy(models, complete[to], text)
    rolled_back.withdraw(models, record.origin)
    labels.refresh(models)
    newest = max(one.number for one in list_versions(models).values() if one.is_complete)
    later = newest if newest > number else None
    return RolledBack(number, record.origin, present, refused, later)


@contextlib.contextmanager
def _recorded(
    models: str,
    present: VersionFolder,
    origins: Mapping[int, int],
    to: int,
    at: str,
    reason: str,
) -> Iterator[int | None]:
    """Record the version that is replaced, unless it is by a later one; undo that on failure.

    Yields:
      The pushed version whose model runs refuse from now on, or None.
    """
    origin = origins[present.number]
    if origins[to] > origin:
        yield None
        return
    model = rolled_back.identifiers(present.uri)
    entry = rolled_back.RolledBackVersion(version=origin, at=at, reason=reason, model=model)
    is_new = rolled_back.add(models, entry)
    try:
        yield origin if model.digest else None
    except BaseException:
        if is_new:
            rolled_back.withdraw(models, origin)
        raise


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
