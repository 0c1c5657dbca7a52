"""`genreflow report`: the path of a run's report, and a browser that shows it."""

from __future__ import annotations

import pathlib

import typer

from components.artifacts.names import REPORT_HTML
from components.common.errors import DataError, UsageError
from components.common.escape import printable
from genreflow.cli.browser import OpenOption, open_page
from genreflow.cli.exit import command
from genreflow.cli.help import TRAINING, shown
from genreflow.cli.messages import print_json
from genreflow.cli.options import DEFAULT_WORK_DIR, JsonOption, WorkDirOption
from pipeline.work_dir import WorkDir


@shown(
    TRAINING,
    "genreflow report --work-dir genreflow-work",
    "genreflow report --no-open --json",
)
@command
def report(
    work_dir: WorkDirOption = DEFAULT_WORK_DIR,
    open_it: OpenOption = None,
    json_output: JsonOption = False,
) -> int:
    """Print the path of the last run's report, and open it."""
    page = find(WorkDir.at(work_dir))
    if json_output:
        print_json({"report": str(page)})
    else:
        typer.echo(printable(str(page)))
    wanted = False if open_it is None and json_output else open_it
    if not open_page(page.as_uri(), wanted):
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
