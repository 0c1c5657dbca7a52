"""Following a run to its end: the changes between two states of it, as lines of text."""

from __future__ import annotations

import dataclasses
import datetime
import shlex
from collections.abc import Callable

from components.common.errors import GenreflowError
from kubeflow.client.errors import UnavailableError
from kubeflow.client.run_state import NOT_RUN, RUNNING, WAITING, Run, RunStep

# Maximum time without a response: a restart of Kubeflow's API takes a minute or two.
PATIENCE_SECONDS = 300.0


@dataclasses.dataclass(frozen=True)
class Change:
    """Change of a run or of one of its steps.

    Attributes:
      seconds: time since the run was created.
      name: the step's name, or "run".
      text: the new state in words.
      state: the new state.
    """

    seconds: float
    name: str
    text: str
    state: str


def changes(before: Run | None, after: Run, now: datetime.datetime) -> list[Change]:
    """Return the changes between two states of a run, in order of time.

    Args:
      before: the earlier state; None at first.
      after: the later state.
      now: the time for changes to which Kubeflow gives none.
    """
    old = {step.name: step for step in before.steps} if before else {}
    found = [
        Change(_seconds(after, _moment(step, now)), step.name, step_text(step), step.state)
        for step in after.steps
        if _differs(old.get(step.name), step)
    ]
    # The sort is stable: steps that ended together stay in the order of the graph.
    found.sort(key=lambda change: change.seconds)
    if before is None or before.state != after.state:
        moment = after.finished if after.is_over else after.created if before is None else now
        change = Change(_seconds(after, moment or now), "run", after.state, after.state)
        found = [*found, change] if after.is_over else [change, *found]
    return found


def _differs(old: RunStep | None, new: RunStep) -> bool:
    if old is None:
        return new.state not in (WAITING, NOT_RUN)
    return (old.state, old.attempts > 1 and old.attempts) != (
        new.state,
        new.attempts > 1 and new.attempts,
    )


def _moment(step: RunStep, now: datetime.datetime) -> datetime.datetime:
    if step.finished:
        return step.finished
    is_first = step.state == RUNNING and step.attempts < 2
    return step.started if step.started and is_first else now


def _seconds(run: Run, moment: datetime.datetime) -> float:
    """Return the seconds since the run was created; not negative, although clocks differ."""
    return max(0.0, (moment - (run.created or moment)).total_seconds())


def step_text(step: RunStep) -> str:
    """Return a step's state in words, with the attempt and the duration."""
    words = step.state
    if step.attempts > 1:
        words += f" (attempt {step.attempts})"
    if step.finished and step.started:
        words += f" after {clock((step.finished - step.started).total_seconds())}"
    return words


def clock(seconds: float) -> str:
    """Return a duration as text, such as 0:07, 12:30 or 3:00:05."""
    whole = max(0, round(seconds))
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


def line(change: Change) -> str:
    """Return a change as one line."""
    return f"{clock(change.seconds):>8}  {change.name}: {change.text}"


def verdict(run: Run) -> str:
    """Return the result of a finished run, as a sentence."""
    took = ""
    if run.finished and run.created:
        took = f" after {clock((run.finished - run.created).total_seconds())}"
    failed = ", ".join(step.name for step in run.failed_steps)
    return f"{run.state}{took}" + (f": {failed}" if failed else "")


def log_command(run: Run, step: RunStep, namespace: str) -> str:
    """Return the command that prints the log of a step's last attempt.

    The API gives no names of pods, which contain the name of a template. A name ends in the
    number of the pod's node (Argo), and a pod has the run's id as a label (Kubeflow). The container
    is called "main".
    """
    quoted = shlex.quote(namespace)  # users paste this text from a server into a shell
    label = shlex.quote(f"pipeline/runid={run.run_id}")
    number = step.pod.rpartition("-")[2]
    if number.isdecimal():
        pods = f'"$(kubectl get pods -n {quoted} -l {label} -o name | grep -e -{number}$)"'
        return f"kubectl logs -n {quoted} -c main {pods}"
    return f"kubectl logs -n {quoted} -l {label} -c main --prefix --tail 50"


def follow(
    get_run: Callable[[], Run],
    show: Callable[[Run | None, Run], None],
    warn: Callable[[str], None],
    *,
    sleep: Callable[[float], None],
    monotonic: Callable[[], float],
    interval_s: float,
    patience_s: float,
) -> Run:
    """Poll a run until it is over; return its last state.

    Args:
      get_run: requests the run's state from Kubeflow.
      show: called after each request with the previous state (None at first) and the new one.
      warn: called with a line when Kubeflow stops responding, and when it responds again.
      sleep: time.sleep, or a test's own.
      monotonic: time.monotonic, or a test's own.
      interval_s: seconds between two requests.
      patience_s: maximum seconds without a response.

    Raises:
      GenreflowError: Kubeflow did not respond for too long, or refused a request.
    """
    before: Run | None = None
    silent_since: float | None = None
    while True:
        try:
            run = get_run()
        except UnavailableError as error:
            if silent_since is None:
                silent_since = monotonic()
                warn(f"{error}; retrying for {clock(patience_s)}")
            elif monotonic() - silent_since >= patience_s:
                raise GenreflowError(f"{error}; gave up after {clock(patience_s)}") from error
        else:
            if silent_since is not None:
                warn(f"responding again after {clock(monotonic() - silent_since)}")
                silent_since = None
            show(before, run)
            if run.is_over:
                return run
            before = run
        sleep(interval_s)
