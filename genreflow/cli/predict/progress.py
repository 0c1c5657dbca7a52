"""Progress bars of `genreflow predict`, one for each recording in progress.

This module imports rich, so import it late.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

from rich.progress import BarColumn, Progress, ProgressColumn, Task, TimeRemainingColumn
from rich.text import Text

from genreflow.cli.predict.output import clock
from genreflow.cli.quiet import quiet_stderr
from pipeline.display.console import PlainConsole, TextColumn, line

_NAME_CHARACTERS = 32


class ProgressBars:
    """Progress bars on standard error, if that is a terminal. Thread-safe."""

    def __init__(self, files: int) -> None:
        """Prepare the bars; more than one file gets a bar that counts files too."""
        self._screen = open(  # noqa: SIM115  close() closes it
            os.dup(2), "w", encoding="utf-8", errors="backslashreplace"
        )
        console = PlainConsole(self._screen)
        self._progress = Progress(
            TextColumn("name"),
            BarColumn(20),
            _DoneColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            disable=not console.is_terminal,
        )
        self._files = self._progress.add_task(
            "", name="files", total=files, unit="files", visible=files > 1
        )

    @contextlib.contextmanager
    def visible(self) -> Iterator[None]:
        """Show the bars inside the context, and hide messages of native libraries."""
        with quiet_stderr(), self._progress:
            yield

    @contextlib.contextmanager
    def recording(self, path: str) -> Iterator[Callable[[float, float | None], None]]:
        """Show a bar for one recording inside the context.

        Yields:
          A function that moves the bar, given the seconds done and the seconds in total.
        """
        name = os.path.basename(path)
        short = name if len(name) <= _NAME_CHARACTERS else name[: _NAME_CHARACTERS - 1] + "…"
        task = self._progress.add_task("", name=short, total=None, unit="seconds")

        def move(done_s: float, total_s: float | None) -> None:
            self._progress.update(task, completed=done_s, total=total_s)

        try:
            yield move
        finally:
            self._progress.remove_task(task)
            self._progress.advance(self._files)

    def close(self) -> None:
        """Close the copy of standard error."""
        self._screen.close()


class _DoneColumn(ProgressColumn):
    """Column with "12/40 files", or for a recording "0:30/4:10 8x" (8 times real time)."""

    def render(self, task: Task) -> Text:
        if task.fields["unit"] == "files":
            return line(f"{task.completed:.0f}/{task.total or 0:.0f} files")
        if not task.completed:
            return line()
        total = "" if task.total is None else f"/{clock(task.total, 0)}"
        speed = f" {task.speed:.0f}x" if task.speed else ""
        return line(f"{clock(task.completed, 0)}{total}{speed}")
