"""How far `genreflow predict` is: a bar for each recording that is being worked on."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from genreflow.cli.predict.output import clock
from genreflow.cli.quiet import quiet_stderr
from pipeline.display.text import escaped

_NAME_CHARACTERS = 32


class Bars:
    """Bars on standard error, where that is a terminal. Several threads may share it."""

    def __init__(self, files: int) -> None:
        """`files`: how many recordings there are; with more than one they are counted."""
        self._screen = open(  # noqa: SIM115  close() closes it
            os.dup(2), "w", encoding="utf-8", errors="backslashreplace"
        )
        console = Console(file=self._screen)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(20),
            _DoneColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            disable=not console.is_terminal,
        )
        self._files = self._progress.add_task("files", total=files, unit="files", visible=files > 1)

    @contextlib.contextmanager
    def visible(self) -> Iterator[None]:
        """Shows them while the context lasts, and keeps libraries' remarks off the screen."""
        with quiet_stderr(), self._progress:
            yield

    @contextlib.contextmanager
    def recording(self, path: str) -> Iterator[Callable[[float, float], None]]:
        """A bar for one recording; what is yielded moves it: seconds done, seconds in all."""
        name = escaped(os.path.basename(path))
        short = name if len(name) <= _NAME_CHARACTERS else name[: _NAME_CHARACTERS - 1] + "…"
        task = self._progress.add_task(short, total=None, unit="seconds")

        def move(done_s: float, total_s: float) -> None:
            self._progress.update(task, completed=done_s, total=total_s)

        try:
            yield move
        finally:
            self._progress.remove_task(task)
            self._progress.advance(self._files)

    def close(self) -> None:
        """Lets the screen go."""
        self._screen.close()


class _DoneColumn(ProgressColumn):
    """12/40 files; or 0:30/4:10 of a recording and how many times faster than listening."""

    def render(self, task: Task) -> Text:
        if task.fields["unit"] == "files":
            return Text(f"{task.completed:.0f}/{task.total or 0:.0f} files")
        if task.total is None:
            return Text("")
        speed = f" {task.speed:.0f}x" if task.speed else ""
        return Text(f"{clock(task.completed, 0)}/{clock(task.total, 0)}{speed}")
