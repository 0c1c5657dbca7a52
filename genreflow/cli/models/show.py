"""`genreflow models show`: a version's card, its test metrics and the gate's decision."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from components.common.errors import UsageError
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
    shown_size,
    shown_time,
)
from genreflow.cli.models.list import Row, accuracy, as_json, notes, rows
from genreflow.cli.options import JsonOption

if TYPE_CHECKING:
    from pipeline.display.console import PlainConsole

_MARKS = {"pass": ("✓", "green"), "fail": ("✗", "red"), "off": ("-", "dim")}


@shown(
    USE,
    "genreflow models show --work-dir ./genreflow-demo",
)
@command
def show(
    version: Annotated[
        Optional[int],  # noqa: UP045  typer reads the annotation at run time
        typer.Argument(metavar="VERSION", min=0, help="A version [default: the newest]."),
    ] = None,
    work_dir: WorkDirOption = "",
    destination: DestinationOption = "",
    server: ServerOption = "",
    tls: TlsOption = False,
    ca_cert: CaCertOption = "",
    api_key_file: ApiKeyFileOption = "",
    json_output: JsonOption = False,
) -> int:
    """Show a version: its card, its test metrics, and why the gate let it pass."""
    from components.versions.labels import no_version

    models = models_folder(work_dir, destination)
    states = ServerOptions(server, tls, ca_cert, api_key_file).states()
    found = rows(models, states if server else None)
    chosen = [r for r in found if (r.is_newest if version is None else r.folder.number == version)]
    if not chosen:
        raise UsageError(
            f"{models}: there is no complete version"
            if version is None
            else no_version(models, version)
        )
    (row,) = chosen
    card = _card(row)
    if json_output:
        record = row.record and dataclasses.asdict(row.record)
        print_json({**as_json(row), "record": record, "card": card})
        return 0
    from pipeline.display.console import PlainConsole

    _print(PlainConsole(), row, card)
    return 0


def _card(row: Row) -> dict[str, Any] | None:
    """Return the model card, or None if it is missing or damaged."""
    from components.common.errors import DataError
    from components.export.assets import read_card

    try:
        return read_card(row.folder.uri)
    except DataError:
        return None


def _print(out: PlainConsole, row: Row, card: dict[str, Any] | None) -> None:
    record = row.record
    out.say((f"version {row.folder.number}", "bold"), f"  {notes(row)}")
    out.say(f"folder         {row.folder.uri}")
    out.say(f"size           {shown_size(row.folder.size_bytes)}")
    if row.problem:
        out.say((row.problem, "yellow"))
    elif record is None:
        out.say(("no record: another program or an earlier Genreflow pushed it", "dim"))
    if record:
        out.say(f"pushed         {shown_time(record.pushed_at)}  by run {record.run_id}")
        out.say(f"model          {record.model}  {record.digest}")
    if record and record.test:
        out.say(f"test accuracy  {accuracy(record)} of {record.test.tracks} tracks")
        for genre, recall in record.test.recall.items():
            out.say(f"  {genre:<20} ", "no tracks" if recall is None else f"{recall:.1%} recalled")
    if record and record.gate:
        out.say("gate           ", "blessed" if record.gate.blessed else "not blessed")
        for rule in record.gate.rules:
            out.say("  ", _MARKS[rule.outcome], f" {rule.id}: {rule.text}")
    if record and record.serving_check:
        out.say(f"served         {record.serving_check.outcome}: {record.serving_check.text}")
    out.say("card", ("" if card is not None else "           missing or damaged"))
    for key, text in _card_lines(card or {}):
        out.say(f"  {key:<20} {text}")


def _card_lines(values: Mapping[str, Any], table: str = "") -> Iterator[tuple[str, str]]:
    """Yield the card's keys and values as text; a key of a table as table.key."""
    for name, value in sorted(values.items()):
        key = f"{table}{name}"
        if isinstance(value, dict) and value:
            yield from _card_lines(value, f"{key}.")
        elif isinstance(value, list):
            yield key, ", ".join(map(str, value))
        else:
            yield key, "none" if value in (None, {}, "") else str(value)
