"""`genreflow models list`: the pushed versions, and which of them serves."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from genreflow.cli.exit import command
from genreflow.cli.help import USE, shown
from genreflow.cli.messages import print_json
from genreflow.cli.models.common import (
    ApiKeyFileOption,
    CaCertOption,
    DestinationOption,
    ServerOption,
    ServerOptions,
    TlsOption,
    WorkDirOption,
    models_folder,
    record_of,
    shown_size,
    shown_time,
)
from genreflow.cli.options import JsonOption

if TYPE_CHECKING:
    from rich.table import Table

    from components.versions.folder import VersionFolder
    from components.versions.record import VersionRecord
    from components.versions.rolled_back import RolledBackVersion


# Words for a server's states; others are shown as they are.
_STATES = {"AVAILABLE": "serving", "END": "unloaded"}


@dataclasses.dataclass(frozen=True)
class Row:
    """Row of the table: a version, and what is known of it.

    Attributes:
      folder: its folder.
      record: its record, or None.
      problem: why the record cannot be read, or "".
      labels: its labels.
      is_newest: whether it is the newest complete version.
      state: what the server says of it, such as "AVAILABLE"; None if none was asked.
      rolled_back: record of a rollback that replaced it, so that runs do not push its model again;
        None without one.
    """

    folder: VersionFolder
    record: VersionRecord | None
    problem: str
    labels: Sequence[str]
    is_newest: bool
    state: str | None
    rolled_back: RolledBackVersion | None = None


@shown(
    USE,
    "genreflow models list --work-dir ./genreflow-demo",
    "genreflow models list --destination s3://bucket/models --json",
)
@command
def list_models(
    work_dir: WorkDirOption = "",
    destination: DestinationOption = "",
    server: ServerOption = "",
    tls: TlsOption = False,
    ca_cert: CaCertOption = "",
    api_key_file: ApiKeyFileOption = "",
    json_output: JsonOption = False,
) -> int:
    """List the pushed versions, the newest first."""
    options = ServerOptions(server, tls, ca_cert, api_key_file)
    models = models_folder(work_dir, destination)
    states = options.states()
    found = rows(models, states if server else None)
    if json_output:
        print_json([as_json(row) for row in found])
        return 0
    from pipeline.display.console import PlainConsole

    out = PlainConsole()
    out.say(models)
    out.print_uncut(_table(found))
    for row in found:
        if row.problem:
            out.say((row.problem, "yellow"))
    from components.versions.rolled_back import read_all

    for number, record in read_all(models).items():
        if number not in {row.folder.number for row in found}:
            out.say(f"version {number}, which was deleted, was {record.when}")
    gone = sorted(number for number in states if number not in {row.folder.number for row in found})
    for number in gone:
        if states[number] != "END":
            out.say(
                (f"{server} still serves version {number}, which is not in the folder", "yellow")
            )
    return 0


def rows(models: str, states: Mapping[int, str] | None) -> list[Row]:
    """Return what is shown of each version, the newest first.

    Args:
      models: the folder of the model's versions.
      states: what a server says of versions; None if none was asked.
    """
    from components.versions.folder import list_versions
    from components.versions.labels import read_labels
    from components.versions.rolled_back import read_all

    versions, named = list_versions(models), read_labels(models)
    replaced = read_all(models)
    newest = max((one.number for one in versions.values() if one.is_complete), default=None)
    return [
        Row(
            folder,
            *record_of(folder),
            named.of(number),
            number == newest,
            None if states is None else states.get(number, "not loaded"),
            replaced.get(number),
        )
        for number, folder in reversed(versions.items())
    ]


def as_json(row: Row) -> dict[str, Any]:
    """Return a row as JSON values."""
    record = row.record
    test = record.test if record else None
    return {
        "version": row.folder.number,
        "complete": row.folder.is_complete,
        "missing": row.folder.missing,
        "newest": row.is_newest,
        "size_bytes": row.folder.size_bytes,
        "pushed_at": record.pushed_at if record else None,
        "run_id": record.run_id if record else None,
        "model": record.model if record else None,
        "digest": record.digest if record else None,
        "test_accuracy": test
        and {**dataclasses.asdict(test.track_accuracy), "tracks": test.tracks},
        "labels": list(row.labels),
        "rollback": record and record.rollback and dataclasses.asdict(record.rollback),
        "rolled_back": row.rolled_back
        and {"at": row.rolled_back.at, "reason": row.rolled_back.reason},
        "server_state": row.state,
        "problem": row.problem or None,
    }


def notes(row: Row) -> str:
    """Return what is special about a version, in words."""
    rollback = row.record.rollback if row.record else None
    found = [
        "newest" if row.is_newest else "",
        f"incomplete: {row.folder.missing} is missing" if row.folder.missing else "",
        f"copy of {rollback.copy_of}, rolled back from {rollback.rolled_back_from}"
        if rollback
        else "",
        row.rolled_back.when if row.rolled_back else "",
        f"labels {', '.join(row.labels)}" if row.labels else "",
        _STATES.get(row.state or "", (row.state or "").lower()),
    ]
    return "; ".join(filter(None, found))


def _table(found: Sequence[Row]) -> Table:
    from pipeline.display.tables import bare

    columns = ("version", "pushed", "model", "test accuracy", "size", "state", "run")
    sides = ("left", "left", "left", "left", "right", "left", "left")
    table = bare(*sides, headers=columns)
    for row in found:
        record = row.record
        table.add_row(
            str(row.folder.number),
            shown_time(record.pushed_at) if record else "",
            record.model if record else "",
            accuracy(record),
            shown_size(row.folder.size_bytes),
            notes(row),
            record.run_id if record else "",
        )
    return table


def accuracy(record: VersionRecord | None) -> str:
    """Return the test accuracy by track with its interval; "" if unknown."""
    if not record or not record.test:
        return ""
    found = record.test.track_accuracy
    return f"{found.value:.1%} ({found.low:.1%} to {found.high:.1%})"
