"""`genreflow compare`: finished runs side by side, on the screen, as JSON or as CSV."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from components.common.errors import UsageError
from components.common.escape import printable
from genreflow.cli.exit import command
from pipeline.display.text import LETTERS


@command
def compare(
    work_dirs: Annotated[
        list[str],
        typer.Argument(help="Work folders of finished runs, two or more.", metavar="WORK_DIR..."),
    ],
    model: Annotated[
        str,
        typer.Option(
            "--model", metavar="NAME", help="Compare this model of each run [default: candidates]."
        ),
    ] = "",
    json_output: Annotated[bool, typer.Option("--json", help="Print JSON instead.")] = False,
    csv_file: Annotated[
        str, typer.Option("--csv", metavar="FILE", help="Also write all numbers to this file.")
    ] = "",
) -> int:
    """Compare finished runs, with differences from the first and their intervals."""
    if len(work_dirs) > len(LETTERS):
        raise UsageError(
            f"{len(work_dirs)} runs are too many to compare; name {len(LETTERS)} at most"
        )
    # Importing pandas takes a second: wrong arguments are refused before.
    from components.artifacts.files import write_text
    from pipeline.display.comparison import print_comparison
    from pipeline.display.console import PlainConsole
    from pipeline.results import comparison, comparison_export, finished_runs

    found = comparison.compare(finished_runs.read_runs(work_dirs), model)
    if csv_file:
        write_text(csv_file, comparison_export.as_csv(found, LETTERS))
    if json_output:
        print(json.dumps(comparison_export.as_json(found, LETTERS), indent=2))
        return 0
    print_comparison(PlainConsole(), found)
    if csv_file:
        print(f"written    {printable(csv_file)}")
    return 0
