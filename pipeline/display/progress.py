"""What a person sees while the pipeline runs, and the tables at the end."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
)
from rich.table import Column
from rich.text import Text

from components.trainer.tuned import TUNABLE
from pipeline.display.text import escaped

# Without a terminal (a log, CI) a line is printed this often instead of a bar.
PLAIN_SECONDS = 15.0
# A rate is shown once so many have been done.
FEW = 5

SHOWN_MEASURES = {
    "loss": "loss",
    "acc": "accuracy",
    "val loss": "val_loss",
    "val acc": "val_accuracy",
}
UNITS = {
    "audio": "tracks",
    "predict": "clips",
    "training": "batches",
    "corpus": "tracks",
    "baselines": "steps",
    "serving": "signatures",
}


class _CountColumn(ProgressColumn):
    """How many, how fast, how long still; while that is unknown, how long already."""

    def render(self, task: Task) -> Text:
        if not task.total:
            return Text(f"{task.elapsed or 0:.0f} s")
        words = [f"{task.completed:.0f}/{task.total:.0f} {task.fields['unit']}"]
        rate = task.fields["rate"]
        if task.completed >= task.total:
            words.append("finishing")
        elif rate:
            left = round((task.total - task.completed) / rate)
            words += [f"{rate:.1f}/s", f"{left // 60}:{left % 60:02d} left"]
        return Text("  ".join(words))


class RunDisplay:
    """Turns events into one line a finished node, and a bar for what runs now."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", table_column=Column(no_wrap=True)),
            BarColumn(bar_width=10),
            _CountColumn(table_column=Column(no_wrap=True)),
            TextColumn(
                "{task.fields[detail]}",
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
        self._done = 0
        self._total: int | None = None
        self._first: tuple[float, int] | None = None
        self._begun = self._spoken = time.monotonic()

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

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Shows one event of `components.common.progress`."""
        handler = getattr(self, f"_on_{event['event']}", None)
        if handler:
            handler(event)

    def _on_importing(self, event: Mapping[str, Any]) -> None:
        self._start("starting TensorFlow and TFX (15 to 60 s)", None, "")

    def _on_checking(self, event: Mapping[str, Any]) -> None:
        self._start(event["detail"], None, "")

    def _on_node_started(self, event: Mapping[str, Any]) -> None:
        self._start(f"[{event['index'] + 1}/{event['total']}] {event['node']}", None, "")

    def _on_node_finished(self, event: Mapping[str, Any]) -> None:
        self._clear()
        how = "cached" if event["outcome"] == "cached" else ""
        self._say(f"  [green]✓[/] {event['node']:<20} {event['seconds']:7.1f} s  [cyan]{how}[/]")

    def _on_node_failed(self, event: Mapping[str, Any]) -> None:
        self._clear()
        self._say(f"  [red]✗[/] {event['node']:<20} {event['seconds']:7.1f} s")

    def _on_progress(self, event: Mapping[str, Any]) -> None:
        self._done = event.get("done", self._done) + event.get("add", 0)
        self._total = event.get("total", self._total)
        self._unit = UNITS.get(event["stage"], "")
        self._update(event.get("detail", ""))

    def _on_training(self, event: Mapping[str, Any]) -> None:
        if "note" in event:
            self._say(f"  [yellow]{escaped(event['architecture'])}: {escaped(event['note'])}[/]")
            return
        total = event["epochs"] * event["batches"]
        done = (event["epoch"] - 1) * event["batches"] + event["batch"]
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
        if "note" in event:
            self._say(f"  [yellow]{escaped(event['architecture'])}: {escaped(event['note'])}[/]")
            return
        self._done, self._total, self._unit = event["done"], event["total"], "clips"
        words = [
            f"{TUNABLE[name].short_label} {value:g}" for name, value in event["values"].items()
        ]
        if event["best"]:
            number, loss = event["best"]
            words.append(f"best {loss:.3f} (trial {number})")
        self._update("  ".join(words), f"trial {event['trial']}/{event['trials']}")

    def _on_tick(self, event: Mapping[str, Any]) -> None:
        if not self._console.is_terminal and time.monotonic() - self._spoken > PLAIN_SECONDS:
            self._speak(self._detail)

    def _start(self, label: str, total: int | None, unit: str) -> None:
        self._clear()
        self._label, self._total, self._unit, self._done = label, total, unit, 0
        self._detail = ""
        self._first = None
        self._begun = self._spoken = time.monotonic()
        self._task = self._progress.add_task(
            escaped(label), total=total, rate=0.0, unit="", detail=""
        )

    def _rate(self) -> float:
        """Units a second since the first one was done; 0 until a few are: what starts slowly
        would otherwise promise hours."""
        if not self._done:
            self._first = None
            return 0.0
        if self._first is None or self._done < self._first[1]:
            self._first = (time.monotonic(), self._done)
        seconds, done = time.monotonic() - self._first[0], self._done - self._first[1]
        return done / seconds if done >= FEW and seconds > 1 else 0.0

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
            detail=escaped(detail),
            description=escaped(f"{self._label} {phase}".rstrip()),
        )
        if not self._console.is_terminal and time.monotonic() - self._spoken > PLAIN_SECONDS:
            self._speak(self._detail)

    def _speak(self, detail: str) -> None:
        words = [self._label]
        rate = self._rate()
        if self._total and self._done:
            words.append(f"{self._done}/{self._total} {self._unit}")
            if rate:
                left = (self._total - self._done) / rate
                words.append(f"{rate:.1f}/s, about {left:.0f} s left")
        else:
            words.append(f"{time.monotonic() - self._begun:.0f} s")
        self._say("    " + escaped("  ".join([*words, detail])), style="dim")
        self._spoken = time.monotonic()

    def _clear(self) -> None:
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None

    def _say(self, text: str, style: str | None = None) -> None:
        self._console.print(text, style=style, highlight=False, soft_wrap=True)
