"""`genreflow compare`: finished runs side by side, on the screen, as JSON or as CSV."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated

import typer

from components.common.errors import UsageError
from components.common.escape import printable
from genreflow.cli.exit import finish
from pipeline.display.text import LETTERS


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
) -> None:
    """Compare finished runs, with differences from the first and their intervals."""
    finish(compare_runs, work_dirs, model=model, json_output=json_output, csv_file=csv_file)


def compare_runs(folders: Sequence[str], *, model: str, json_output: bool, csv_file: str) -> int:
    """Print runs side by side, with their differences from the first; return 0.

    Args:
      folders: work folders of finished runs.
      model: the model to compare; "" compares the candidates.
      json_output: print JSON, and no tables.
      csv_file: also write all numbers there; "" writes none.

    Raises:
      GenreflowError: a run cannot be read, or lacks the model.
    """
    if len(folders) > len(LETTERS):
        raise UsageError(
            f"{len(folders)} runs are too many to compare; name {len(LETTERS)} at most"
        )
    # Importing pandas takes a second: wrong arguments are refused before.
    from rich.console import Console

    from components.artifacts.files import write_text
    from pipeline.display.comparison import print_comparison
    from pipeline.results import comparison, comparison_export, finished_runs

    found = comparison.compare(finished_runs.read_runs(folders), model)
    if csv_file:
        write_text(csv_file, comparison_export.as_csv(found, LETTERS))
    if json_output:
        print(json.dumps(comparison_export.as_json(found, LETTERS), indent=2))
        return 0
    print_comparison(Console(highlight=False), found)
    if csv_file:
        print(f"written    {printable(csv_file)}")
    return 0
