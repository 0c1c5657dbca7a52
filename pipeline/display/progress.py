"""Progress of a run on the screen: a line for each finished node, a bar for the current one."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
)
from rich.table import Column
from rich.text import Text

from components.common.durations import duration_text
from components.trainer.tuned import TUNABLE
from pipeline.display.console import Piece, PlainConsole, TextColumn, line

# Without a terminal (a log, CI) a line is printed this often instead of a bar.
PLAIN_SECONDS = 15.0
# A rate over fewer units than this is not shown: work that starts slowly would promise hours.
MIN_RATE_UNITS = 5

# Measures of a training by their short names, as fields of its events.
SHOWN_MEASURES = {
    "loss": "loss",
    "acc": "accuracy",
    "val loss": "val_loss",
    "val acc": "val_accuracy",
}
# Units of progress, by stage.
UNITS = {
    "audio": "tracks",
    "label": "files",
    "predict": "clips",
    "training": "batches",
    "corpus": "tracks",
    "baselines": "steps",
    "serving": "signatures",
    "download": "MB",
}


class _CountColumn(ProgressColumn):
    """Column with the count, the rate and the time left; the elapsed time without a total."""

    def render(self, task: Task) -> Text:
        if not task.total:
            return line(f"{task.elapsed or 0:.0f} s")
        words = [f"{task.completed:.0f}/{task.total:.0f} {task.fields['unit']}"]
        rate = task.fields["rate"]
        if task.completed >= task.total:
            words.append("finishing")
        elif rate:
            left = round((task.total - task.completed) / rate)
            most = "at most " if task.fields["at_most"] else ""
            words += [f"{rate:.1f}/s", f"{most}{left // 60}:{left % 60:02d} left"]
        return line("  ".join(words))


class RunDisplay:
    """Display of a run's events: a line for each finished node, a bar for the current one."""

    def __init__(self, console: PlainConsole) -> None:
        self._console = console
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("label", table_column=Column(no_wrap=True)),
            BarColumn(bar_width=10),
            _CountColumn(table_column=Column(no_wrap=True)),
            TextColumn(
                "detail",
                style="dim",
                table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1),
            ),
            console=console,
            expand=True,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task: TaskID | None = None
        self._label = ""
        self._unit = ""
        self._detail = ""
        self._at_most = False  # whether the work may end before its total
        self._done = 0
        self._total: int | None = None
        self._first: tuple[float, int] | None = None  # when, and how many were done
        self._started = self._printed = time.monotonic()

    def __enter__(self) -> RunDisplay:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._clear()
        self._progress.stop()

    def begin(self, label: str) -> None:
        """Begin a step of a command that runs no nodes: the bar gets this label."""
        self._start(label)

    def count(self, stage: str, done: int, total: int) -> None:
        """Move the bar of a step.

        Args:
          stage: names the unit, as a key of UNITS.
          done: units that are done.
          total: units in all.
        """
        self({"event": "progress", "stage": stage, "done": done, "total": total})

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Show one event of `components.common.progress`; unknown ones are ignored."""
        if "note" in event:
            self._console.say((f"  {event['architecture']}: {event['note']}", "yellow"))
            return
        handler = getattr(self, f"_on_{event['event']}", None)
        if handler:
            handler(event)

    def _on_importing(self, event: Mapping[str, Any]) -> None:
        self._start("starting TensorFlow and TFX (15 to 60 s)")

    def _on_checking(self, event: Mapping[str, Any]) -> None:
        self._start(event["detail"])

    def _on_node_started(self, event: Mapping[str, Any]) -> None:
        self._start(f"[{event['index'] + 1}/{event['total']}] {event['node']}")

    def _on_node_finished(self, event: Mapping[str, Any]) -> None:
        how = "  cached" if event["outcome"] == "cached" else ""
        self._end_node(("✓", "green"), event, (how, "cyan"))

    def _on_node_failed(self, event: Mapping[str, Any]) -> None:
        self._end_node(("✗", "red"), event)

    def _on_progress(self, event: Mapping[str, Any]) -> None:
        self._done = event.get("done", self._done) + event.get("add", 0)
        self._total = event.get("total", self._total)
        self._unit = UNITS.get(event["stage"], "")
        self._update(event.get("detail", ""))

    def _on_training(self, event: Mapping[str, Any]) -> None:
        total = event["epochs"] * event["batches"]
        done = (event["epoch"] - 1) * event["batches"] + event["batch"]
        self._at_most = event["epochs"] > 1  # it stops when validation no longer improves
        phase = f"{event['phase']} {event['epoch']}/{event['epochs']}"
        if done < self._done or self._total != total:
            self._first = None
        self._done, self._total, self._unit = done, total, "batches"
        numbers = "  ".join(
            f"{name} {event[key]:.2f}"
            for name, key in SHOWN_MEASURES.items()
            if event.get(key) is not None
        )
        self._update(numbers, phase)

    def _on_tuning(self, event: Mapping[str, Any]) -> None:
        self._done, self._total, self._unit = event["done"], event["total"], "clips"
        words = [
            f"{TUNABLE[name].short_label} {value:g}" for name, value in event["values"].items()
        ]
        if event["best"]:
            number, loss = event["best"]
            words.append(f"best {loss:.3f} (trial {number})")
        self._update("  ".join(words), f"trial {event['trial']}/{event['trials']}")

    def _on_tick(self, event: Mapping[str, Any]) -> None:
        self._print_line_if_due()

    def _start(self, label: str) -> None:
        self._clear()
        self._label, self._total, self._unit, self._done = label, None, "", 0
        self._detail, self._at_most = "", False
        self._first = None
        self._started = self._printed = time.monotonic()
        self._task = self._progress.add_task(
            "", total=None, label=label, rate=0.0, unit="", detail="", at_most=False
        )

    def _end_node(self, mark: Piece, event: Mapping[str, Any], how: Piece = "") -> None:
        self._clear()
        self._console.say("  ", mark, f" {event['node']:<20} {event['seconds']:7.1f} s", how)

    def _rate(self) -> float:
        """Return units per second since the first unit; 0 while MIN_RATE_UNITS are not done."""
        if not self._done:
            self._first = None
            return 0.0
        if self._first is None or self._done < self._first[1]:
            self._first = (time.monotonic(), self._done)
        seconds, done = time.monotonic() - self._first[0], self._done - self._first[1]
        return done / seconds if done >= MIN_RATE_UNITS and seconds > 1 else 0.0

    def _update(self, detail: str, phase: str = "") -> None:
        self._detail = f"{phase}  {detail}" if phase else detail
        if self._task is None:
            return
        self._progress.update(
            self._task,
            completed=self._done,
            total=self._total,
            rate=self._rate(),
            unit=self._unit,
            at_most=self._at_most,
            detail=detail,
            label=f"{self._label} {phase}".rstrip(),
        )
        self._print_line_if_due()

    def _print_line_if_due(self) -> None:
        """Print a line of progress where there is no bar, every PLAIN_SECONDS."""
        if self._console.is_terminal or time.monotonic() - self._printed <= PLAIN_SECONDS:
            return
        words = [self._label]
        rate = self._rate()
        if self._total and self._done:
            words.append(f"{self._done}/{self._total} {self._unit}")
            if rate:
                left = (self._total - self._done) / rate
                about = "at most" if self._at_most else "about"
                words.append(f"{rate:.1f}/s, {about} {duration_text(left)} left")
        else:
            words.append(f"{time.monotonic() - self._started:.0f} s")
        self._console.say(("    " + "  ".join([*words, self._detail]), "dim"))
        self._printed = time.monotonic()

    def _clear(self) -> None:
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None
