"""A run is followed to its end: what changed from one look to the next, in lines."""

from __future__ import annotations

import dataclasses
import datetime
import shlex
from collections.abc import Callable

from components.common.errors import GenreflowError
from kubeflow.client.errors import PassingError
from kubeflow.client.run_state import FAILED, NOT_RUN, RUNNING, WAITING, Run, Step

# How long Kubeflow may not answer before one gives up: a restart of its API takes a minute or two.
PATIENCE_SECONDS = 300.0


@dataclasses.dataclass(frozen=True)
class Change:
    """Something that happened: when (seconds since the run was created), to what, and what."""

    seconds: float
    name: str
    text: str
    state: str


def changes(before: Run | None, after: Run, now: datetime.datetime) -> list[Change]:
    """What happened between two looks at a run, in its order.

    Args:
      before: the look before; None for the first one.
      after: this one.
      now: for what Kubeflow gives no time to.
    """
    old = {step.name: step for step in before.steps} if before else {}
    found = [
        Change(_seconds(after, _moment(step, now)), step.name, step_text(step), step.state)
        for step in after.steps
        if _differs(old.get(step.name), step)
    ]
    # Steps that ended together stay in the order of the graph, as sorting is stable.
    found.sort(key=lambda change: change.seconds)
    if before is None or before.state != after.state:
        moment = after.finished if after.is_over else after.created if before is None else now
        change = Change(_seconds(after, moment or now), "run", after.state, after.state)
        found = [*found, change] if after.is_over else [change, *found]
    return found


def _differs(old: Step | None, new: Step) -> bool:
    if old is None:
        return new.state not in (WAITING, NOT_RUN)
    return (old.state, old.attempts > 1 and old.attempts) != (
        new.state,
        new.attempts > 1 and new.attempts,
    )


def _moment(step: Step, now: datetime.datetime) -> datetime.datetime:
    if step.ended:
        return step.ended
    is_first = step.state == RUNNING and step.attempts < 2
    return step.begun if step.begun and is_first else now


def _seconds(run: Run, moment: datetime.datetime) -> float:
    """Since the run was created; never before, though clocks differ."""
    return max(0.0, (moment - (run.created or moment)).total_seconds())


def step_text(step: Step) -> str:
    """A step's state in words: which attempt, how long it took."""
    words = step.state
    if step.attempts > 1:
        words += f" (attempt {step.attempts})"
    if step.ended and step.begun:
        words += f" after {clock((step.ended - step.begun).total_seconds())}"
    return words


def clock(seconds: float) -> str:
    """0:07, 12:30, 3:00:05."""
    whole = max(0, round(seconds))
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


def line(change: Change) -> str:
    """One change as one line."""
    return f"{clock(change.seconds):>8}  {change.name}: {change.text}"


def verdict(run: Run) -> str:
    """How a run that is over went, in a sentence."""
    took = ""
    if run.finished and run.created:
        took = f" after {clock((run.finished - run.created).total_seconds())}"
    if run.succeeded:
        return f"succeeded{took}"
    failed = ", ".join(step.name for step in run.failed_steps)
    if run.state != FAILED and run.failed_steps:
        return f"failed{took}: {failed}. Kubeflow calls it {run.state}, by its last step alone"
    return f"{run.state}{took}" + (f": {failed}" if failed else "")


def log_command(run: Run, step: Step, namespace: str) -> str:
    """What to type for the log of a step's last attempt.

    Argo's containers are named main; Kubeflow labels all pods of a run with its id.
    """
    where = (
        [step.pod, "-c", "main"]
        if step.pod
        else ["-l", f"pipeline/runid={run.run_id}", "-c", "main", "--prefix", "--tail", "50"]
    )
    # Quoted, as a server's words are about to be typed into a shell.
    return shlex.join(["kubectl", "logs", "-n", namespace, *where])


def follow(
    look: Callable[[], Run],
    show: Callable[[Run | None, Run], None],
    complain: Callable[[str], None],
    *,
    sleep: Callable[[float], None],
    monotonic: Callable[[], float],
    interval_s: float,
    patience_s: float,
) -> Run:
    """Looks at a run again and again until it is over; returns how it then was.

    Args:
      look: asks Kubeflow.
      show: gets the look before (None at first) and this one, after each look.
      complain: gets a line when Kubeflow stops to answer, and when it answers again.
      sleep, monotonic: time's own.
      interval_s: between two looks.
      patience_s: for how long Kubeflow may not answer.

    Raises:
      GenreflowError: no answer for too long, or another failure than of the network.
    """
    before: Run | None = None
    silent_since: float | None = None
    while True:
        try:
            run = look()
        except PassingError as error:
            if silent_since is None:
                silent_since = monotonic()
                complain(f"{error}; trying again for {clock(patience_s)}")
            elif monotonic() - silent_since >= patience_s:
                raise GenreflowError(f"{error}; given up after {clock(patience_s)}") from error
        else:
            if silent_since is not None:
                complain(f"answers again after {clock(monotonic() - silent_since)}")
                silent_since = None
            show(before, run)
            if run.is_over:
                return run
            before = run
        sleep(interval_s)
