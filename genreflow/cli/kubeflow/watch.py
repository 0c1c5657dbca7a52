"""How a run on Kubeflow is followed on the screen: a table that moves, or a line a change."""

from __future__ import annotations

import datetime
import sys
import time
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from components.common.errors import GenreflowError
from components.common.escape import printable
from genreflow.cli.exit import EXIT_FAILED, EXIT_INTERRUPTED
from pipeline.display.text import escaped

if TYPE_CHECKING:
    from kubeflow.client.client import Client
    from kubeflow.client.run_state import Run, Step

_STYLES = {
    "succeeded": "green",
    "failed": "red",
    "running": "cyan",
    "canceled": "yellow",
    "canceling": "yellow",
    "waiting": "dim",
    "not run": "dim",
}


def state_mark(state: str) -> str:
    """A state in its colour, in rich's markup."""
    style = _STYLES.get(state)
    return f"[{style}]{escaped(state)}[/]" if style else escaped(state)


def watch(client: Client, run_id: str, *, again: str, interval_s: float) -> int:
    """Follows a run to its end, and says how it went; returns the exit status.

    Args:
      client: of the Kubeflow that has the run.
      run_id: its id.
      again: the command that follows it once more.
      interval_s: seconds between two looks.

    Raises:
      GenreflowError: no such run, or no answer for minutes.
    """
    from kubeflow.client import watching
    from kubeflow.client.errors import NotFoundError

    console = Console(highlight=False)
    screen = _Table(console) if console.is_terminal else _Lines(console)
    try:
        with screen:
            run = watching.follow(
                lambda: client.run(run_id),
                screen.show,
                screen.complain,
                sleep=time.sleep,
                monotonic=time.monotonic,
                interval_s=interval_s,
                patience_s=watching.PATIENCE_SECONDS,
            )
    except NotFoundError:
        raise
    except GenreflowError as error:
        raise GenreflowError(f"{error}\nthe run goes on; watch it again: {again}") from error
    except KeyboardInterrupt:
        print(
            f"\nno longer watched; the run goes on. Watch it again: {printable(again)}", flush=True
        )
        return EXIT_INTERRUPTED
    _conclude(console, client, run)
    return 0 if run.succeeded else EXIT_FAILED


def _conclude(console: Console, client: Client, run: Run) -> None:
    from kubeflow.client import watching

    style = "green" if run.succeeded else "red"
    _print(console, f"[{style}]{escaped(watching.verdict(run))}[/]")
    if run.message and not run.succeeded:
        _print(console, f"  {escaped(run.message)}")
    for step in run.failed_steps:
        why = f": {step.message}" if step.message else ""
        _print(
            console,
            f"  [red]✗[/] {escaped(step.name)} {escaped(watching.step_text(step) + why)}",
        )
        _print(
            console,
            f"    log: {escaped(watching.log_command(run, step, client.pods_namespace))}",
        )
    if not run.succeeded:
        _print(console, f"look       {escaped(client.access.run_page(run.run_id))}")


def _print(console: Console, text: str) -> None:
    console.print(text, soft_wrap=True)


class _Lines:
    """For logs and pipes: a line for each change."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def __enter__(self) -> _Lines:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, before: Run | None, run: Run) -> None:
        from kubeflow.client import watching

        for change in watching.changes(before, run, _now()):
            _print(self._console, escaped(watching.line(change)))
        sys.stdout.flush()

    def complain(self, text: str) -> None:
        _print(self._console, f"          {escaped(text)}")
        sys.stdout.flush()


class _Table:
    """For people at a terminal: all steps, and how long each one takes."""

    def __init__(self, console: Console) -> None:
        self._run: Run | None = None
        self._complaint = ""
        self._live = Live(
            console=console,
            refresh_per_second=2,
            get_renderable=self._render,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> _Table:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, before: Run | None, run: Run) -> None:
        self._run, self._complaint = run, ""
        self._live.refresh()

    def complain(self, text: str) -> None:
        self._complaint = text
        self._live.refresh()

    def _render(self) -> Group:
        parts: list[Table | Text] = []
        if self._run:
            parts.append(table(self._run, _now()))
        if self._complaint:
            parts.append(Text(printable(self._complaint), style="yellow"))
        return Group(*parts)


def table(run: Run, now: datetime.datetime) -> Table:
    """A run's steps at a moment."""
    from kubeflow.client.watching import clock

    took = ((run.finished or now) - run.created).total_seconds() if run.created else 0
    title = f"{escaped(run.name)}: {state_mark(run.state)}  {clock(took)}"
    found = Table(title=title, title_justify="left", title_style="")
    for column in ("step", "state", "took"):
        found.add_column(column, justify="right" if column == "took" else "left")
    for step in run.steps:
        found.add_row(escaped(step.name), _state(step), _took(step, now))
    return found


def _state(step: Step) -> str:
    attempt = f" (attempt {step.attempts})" if step.attempts > 1 else ""
    return state_mark(step.state) + attempt


def _took(step: Step, now: datetime.datetime) -> str:
    from kubeflow.client.watching import clock

    return clock(((step.ended or now) - step.begun).total_seconds()) if step.begun else ""


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)
