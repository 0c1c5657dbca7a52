"""`genreflow report`: the path of a run's report, and a browser that shows it."""

from __future__ import annotations

import os
import pathlib
import sys
from typing import Annotated, Optional

import typer

from components.artifacts.names import REPORT_HTML
from components.common.errors import DataError, UsageError
from components.common.escape import printable
from genreflow.cli.exit import command
from genreflow.cli.help import TRAINING, shown
from genreflow.cli.messages import print_json
from genreflow.cli.options import DEFAULT_WORK_DIR, JsonOption, WorkDirOption
from pipeline.work_dir import WorkDir

# Systems that always have a display; elsewhere a browser needs one of the variables.
ALWAYS_DISPLAY = ("darwin", "win32")
DISPLAY_VARIABLES = ("DISPLAY", "WAYLAND_DISPLAY")


@shown(
    TRAINING,
    "genreflow report --work-dir genreflow-work",
    "genreflow report --no-open --json",
)
@command
def report(
    work_dir: WorkDirOption = DEFAULT_WORK_DIR,
    open_it: Annotated[
        Optional[bool],  # noqa: UP045  typer reads the annotation at run time
        typer.Option(
            "--open/--no-open",
            help="Open it in a browser [default: at a terminal with a display].",
        ),
    ] = None,
    json_output: JsonOption = False,
) -> int:
    """Print the path of the last run's report, and open it."""
    import webbrowser

    page = find(WorkDir.at(work_dir))
    if json_output:
        print_json({"report": str(page)})
    else:
        typer.echo(printable(str(page)))
    by_itself = open_it is None and not json_output and sys.stdout.isatty() and has_display()
    if open_it or by_itself:
        opened = webbrowser.open(page.as_uri())
        if open_it and not opened:
            raise DataError(
                "no browser could be started here; copy the file to a machine with one (it needs "
                "no other files)"
            )
    return 0


def find(work: WorkDir) -> pathlib.Path:
    """Return the path of the report of the last finished run.

    Raises:
      UsageError: there is no report.
    """
    page = work.report / REPORT_HTML
    if page.is_file():
        return page
    if not work.root.is_dir():
        raise UsageError(f"{work.root}: no such folder; name a run's work folder with --work-dir")
    raise UsageError(
        f"{page}: no report, as no run has finished in this work folder; make one by "
        "`genreflow run` (or `demo`) with the same --work-dir"
    )


def has_display() -> bool:
    """Return whether a browser could show a window here."""
    return sys.platform in ALWAYS_DISPLAY or any(
        os.environ.get(variable) for variable in DISPLAY_VARIABLES
    )
