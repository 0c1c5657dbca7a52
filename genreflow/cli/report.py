"""`genreflow report`: where a run's report is, and a browser that shows it."""

from __future__ import annotations

import os
import pathlib
import sys
import webbrowser

import typer

from components.artifacts.names import REPORT_HTML
from components.common.errors import DataError, UsageError
from components.common.escape import printable
from pipeline.work_dir import WorkDir

# Elsewhere a browser needs one of these to show itself.
ALWAYS_DISPLAY = ("darwin", "win32")
DISPLAY_VARIABLES = ("DISPLAY", "WAYLAND_DISPLAY")


def report(work_dir: str, *, wanted: bool | None) -> int:
    """Prints the path of the report, and opens it; returns 0.

    Args:
      work_dir: the work folder of a run.
      wanted: open it, or not; None: if someone sits at a terminal with a display.

    Raises:
      UsageError: there is no report.
      DataError: it was asked to be opened, and no browser could be started.
    """
    page = find(WorkDir.at(work_dir))
    typer.echo(printable(str(page)))
    if wanted or (wanted is None and sys.stdout.isatty() and has_display()):
        opened = webbrowser.open(page.as_uri())
        if wanted and not opened:
            raise DataError(
                "no browser could be started here; copy the file, which needs no other, to where "
                "there is one"
            )
    return 0


def find(work: WorkDir) -> pathlib.Path:
    """The report of the last run that finished.

    Raises:
      UsageError: there is none.
    """
    page = work.report / REPORT_HTML
    if page.is_file():
        return page
    if not work.root.is_dir():
        raise UsageError(f"{work.root}: there is no such folder; name a run's with --work-dir")
    raise UsageError(
        f"{page}: there is no report, as no run has finished in this work folder; "
        "`genreflow run` (or `demo`) with the same --work-dir makes one"
    )


def has_display() -> bool:
    """Whether a browser could show a window here."""
    return sys.platform in ALWAYS_DISPLAY or any(
        os.environ.get(variable) for variable in DISPLAY_VARIABLES
    )
