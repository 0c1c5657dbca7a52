"""`genreflow compare`: finished runs side by side, on the screen, as JSON or as CSV."""

from __future__ import annotations

from typing import Annotated

import typer

from components.common.errors import UsageError
from components.storage.uri import is_remote
from genreflow.cli import completion
from genreflow.cli.exit import command
from genreflow.cli.help import TRAINING, shown
from genreflow.cli.messages import print_fields, print_json
from genreflow.cli.options import JsonOption
from genreflow.cli.places import check_file
from pipeline.display.text import LETTERS


@shown(
    TRAINING,
    "genreflow compare work-before work-after",
    "genreflow compare work-1 work-2 work-3 --model cnn_small --json",
)
@command
def compare(
    work_dirs: Annotated[
        list[str],
        typer.Argument(help="Work folders of finished runs, two or more.", metavar="WORK_DIR..."),
    ],
    model: Annotated[
        str,
        typer.Option(
            "--model",
            metavar="NAME",
            help="Compare this model of each run [default: candidates].",
            autocompletion=completion.networks,
        ),
    ] = "",
    json_output: JsonOption = False,
    csv_file: Annotated[
        str, typer.Option("--csv", metavar="FILE", help="Also write all numbers to this file.")
    ] = "",
) -> int:
    """Compare finished runs, with differences from the first and their intervals."""
    if len(work_dirs) > len(LETTERS):
        raise UsageError(
            f"{len(work_dirs)} runs are too many to compare; name {len(LETTERS)} at most"
        )
    if csv_file and not is_remote(csv_file):
        check_file(csv_file, "--csv", "runs.csv", makes_folder=True)
    # Importing pandas takes a second: wrong arguments are refused before.
    from components.artifacts.files import write_text
    from pipeline.display.comparison import print_comparison
    from pipeline.display.console import PlainConsole
    from pipeline.results import comparison, comparison_export, finished_runs

    found = comparison.compare(finished_runs.read_runs(work_dirs), model)
    if csv_file:
        write_text(csv_file, comparison_export.as_csv(found, LETTERS))
    if json_output:
        print_json(comparison_export.as_json(found, LETTERS))
        return 0
    print_comparison(PlainConsole(), found)
    if csv_file:
        print_fields({"written": csv_file})
    return 0
