"""A followed run on the screen: a live table at a terminal, else one line for each change.

Imports rich and the client's modules, so commands import it late.
"""

from __future__ import annotations

import datetime
import sys
import time
from typing import TYPE_CHECKING

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from components.common.errors import GenreflowError
from components.common.escape import printable
from genreflow.cli.exit import EXIT_FAILED, EXIT_INTERRUPTED
from kubeflow.client import watching
from kubeflow.client.errors import NotFoundError
from kubeflow.client.run_state import Run, RunStep
from pipeline.display.console import PlainConsole, line
from pipeline.display.tables import titled

if TYPE_CHECKING:
    from kubeflow.client.client import KubeflowClient

_STYLES = {
    "succeeded": "green",
    "failed": "red",
    "running": "cyan",
    "canceled": "yellow",
    "canceling": "yellow",
    "waiting": "dim",
    "not run": "dim",
}


def state_mark(state: str) -> Text:
    """Return a state in its colour."""
    return line((state, _STYLES.get(state, "")))


def follow(client: KubeflowClient, run_id: str, *, command: str, interval_s: float) -> int:
    """Follow a run on the screen until it is over; return the exit status.

    Args:
      client: connected to the Kubeflow that has the run.
      run_id: the run's id.
      command: a command line that follows the run again.
      interval_s: seconds between two requests.

    Raises:
      GenreflowError: there is no such run, or Kubeflow has not responded for minutes.
    """
    console = PlainConsole()
    screen = _LiveTable(console) if console.is_terminal else _ChangeLines(console)
    try:
        with screen:
            run = watching.follow(
                lambda: client.run(run_id),
                screen.show,
                screen.warn,
                sleep=time.sleep,
                monotonic=time.monotonic,
                interval_s=interval_s,
                patience_s=watching.PATIENCE_SECONDS,
            )
    except NotFoundError:
        raise
    except GenreflowError as error:
        raise GenreflowError(
            f"{error}\nthe run continues; watch it again with: {command}"
        ) from error
    except KeyboardInterrupt:
        print(
            f"\nstopped watching; the run continues. Watch it again with: {printable(command)}",
            flush=True,
        )
        return EXIT_INTERRUPTED
    _print_result(console, client, run)
    return 0 if run.succeeded else EXIT_FAILED


def _print_result(console: PlainConsole, client: KubeflowClient, run: Run) -> None:
    style = "green" if run.succeeded else "red"
    console.say((watching.verdict(run), style))
    if run.message and not run.succeeded:
        console.say(f"  {run.message}")
    for step in run.failed_steps:
        why = f": {step.message}" if step.message else ""
        console.say("  ", ("✗", "red"), f" {step.name} {watching.step_text(step)}{why}")
        console.say(f"    log: {watching.log_command(run, step, client.pods_namespace)}")
    if not run.succeeded:
        console.say(f"page       {client.access.run_page(run.run_id)}")


class _ChangeLines:
    """Screen for logs and pipes: prints a line for each change."""

    def __init__(self, console: PlainConsole) -> None:
        self._console = console

    def __enter__(self) -> _ChangeLines:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, before: Run | None, run: Run) -> None:
        for change in watching.changes(before, run, _now()):
            self._console.say(watching.line(change))
        sys.stdout.flush()

    def warn(self, text: str) -> None:
        self._console.say(f"          {text}")
        sys.stdout.flush()


class _LiveTable:
    """Screen for terminals: a live table of all steps and their durations."""

    def __init__(self, console: PlainConsole) -> None:
        self._run: Run | None = None
        self._warning = ""
        self._live = Live(
            console=console,
            refresh_per_second=2,
            get_renderable=self._render,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> _LiveTable:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, before: Run | None, run: Run) -> None:
        self._run, self._warning = run, ""
        self._live.refresh()

    def warn(self, text: str) -> None:
        self._warning = text
        self._live.refresh()

    def _render(self) -> Group:
        parts: list[Table | Text] = []
        if self._run:
            parts.append(steps_table(self._run, _now()))
        if self._warning:
            parts.append(line((self._warning, "yellow")))
        return Group(*parts)


def steps_table(run: Run, now: datetime.datetime) -> Table:
    """Return a table of a run's steps at the time `now`."""
    took = ((run.finished or now) - run.created).total_seconds() if run.created else 0
    title = line(f"{run.name}: ", state_mark(run.state), f"  {watching.clock(took)}")
    found = titled(title, "step", "state", "took", left=("step", "state"))
    for step in run.steps:
        found.add_row(step.name, _state(step), _took(step, now))
    return found


def _state(step: RunStep) -> Text:
    attempt = f" (attempt {step.attempts})" if step.attempts > 1 else ""
    return line(state_mark(step.state), attempt)


def _took(step: RunStep, now: datetime.datetime) -> str:
    return (
        watching.clock(((step.finished or now) - step.started).total_seconds())
        if step.started
        else ""
    )


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)
