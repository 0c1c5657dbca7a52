"""State of a run and its steps, from the API's responses.

The API of Kubeflow Pipelines 2 lists the nodes of the pipeline's Argo workflow
(backend/src/common/util/workflow.go, `NodeStatuses`, in kubeflow/pipelines). A step `a` has these:

- a pod `a-driver`, which prepares it
- a node `a`
- below `a` a node `executor`, and with retries one pod `executor(N)` for each attempt

Where the workflow controller retries every template, as in the default installation of 2.17, each
of them has a node `...(N)` below itself for each of its attempts.

Other nodes stand for the graph and the exit handler. A node has no message and no id of its own
(see kubeflow.client.argo_nodes), and a step that has not started may have no node. So the steps are
read from the pipeline, which the response contains, and their states from the nodes with their
names.
"""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from kubeflow.client import argo_nodes

# States of steps. The second group are final.
WAITING, STARTING, PENDING, RUNNING = "waiting", "starting", "pending", "running"
SUCCEEDED, FAILED, CANCELED, SKIPPED, NOT_RUN = (
    "succeeded", "failed", "canceled", "skipped", "not run",
)  # fmt: skip
ENDED = frozenset({SUCCEEDED, FAILED, CANCELED, SKIPPED})
# The API's words for a state that it does not know, such as Argo's "Omitted".
_UNSPECIFIED = ("", "RUNTIME_STATE_UNSPECIFIED")
_EXECUTOR = re.compile(r"executor(\(\d+\))?", re.ASCII)
_DRIVER = "-driver"
# Nodes that are not steps: the graph, groups of steps, hooks.
_INTERNAL = re.compile(
    r"(root|exit-handler-\d+|for-loop-\d+|condition-.*|.*\.onExit|exit-hook-.*)", re.ASCII
)
_MAX_MESSAGE_CHARS = 500
_NOT_STARTED = "Kubeflow could not start it"


@dataclasses.dataclass(frozen=True)
class RunStep:
    """State of one step of a run.

    Attributes:
      name: as shown to people, such as "Trainer.vgg16".
      state: in lower case.
      started: start of the first attempt; None if not started.
      finished: None if the step is not over.
      attempts: number of attempts.
      message: the reason of a failure, if the API tells one; else "".
      pod: id of the last attempt's pod, or of the driver's if that failed; "" if unknown. The
        pod's name ends in the same number.
    """

    name: str
    state: str
    started: datetime.datetime | None = None
    finished: datetime.datetime | None = None
    attempts: int = 0
    message: str = ""
    pod: str = ""


@dataclasses.dataclass(frozen=True)
class Run:
    """State of one run.

    Attributes:
      run_id: the id.
      name: as given by the user.
      state: in lower case.
      created: None if the API does not tell.
      finished: None if the run is not over.
      steps: in an order in which they can run; empty in lists of runs.
      message: error message; "" for none.
    """

    run_id: str
    name: str
    state: str
    created: datetime.datetime | None = None
    finished: datetime.datetime | None = None
    steps: tuple[RunStep, ...] = ()
    message: str = ""

    @property
    def is_over(self) -> bool:
        """Return whether the state is final."""
        return self.state in ENDED

    @property
    def failed_steps(self) -> tuple[RunStep, ...]:
        """Return the failed steps, in order."""
        return tuple(step for step in self.steps if step.state == FAILED)

    @property
    def succeeded(self) -> bool:
        """Return whether the run succeeded."""
        return self.state == SUCCEEDED


def run_of(response: Any) -> Run:
    """Return the run in a response, a `V2beta1Run` of kfp's client."""
    state = _state(response.state)
    details = getattr(response.run_details, "task_details", None)
    message = _message(response.error)
    nodes = [node for node in details or () if node is not None]
    return Run(
        run_id=str(response.run_id or ""),
        name=str(response.display_name or ""),
        state=state or PENDING,
        created=_time(response.created_at),
        finished=_time(response.finished_at),
        steps=tuple(_steps(nodes, response.pipeline_spec, state)),
        message=message,
    )


def _state(value: Any) -> str:
    """Return a state in lower case; "" for none."""
    text = str(value or "").upper()
    if text in _UNSPECIFIED:
        return ""
    # Runs from before version 2 of the API have the state ERROR.
    return FAILED if text == "ERROR" else text.lower()


def _time(value: Any) -> datetime.datetime | None:
    """Return a time in UTC; None for the API's "not yet", which is in the year 1 or 1970."""
    if not isinstance(value, datetime.datetime) or value.year <= 1970:
        return None
    try:
        aware = value if value.tzinfo else value.replace(tzinfo=datetime.timezone.utc)
        return aware.astimezone(datetime.timezone.utc)
    except (ValueError, OverflowError):  # an invalid time zone, or a year out of range
        return None


def _message(status: Any) -> str:
    return str(getattr(status, "message", None) or "").strip()[:_MAX_MESSAGE_CHARS]


def _steps(nodes: list[Any], spec: Any, run_state: str) -> Iterator[RunStep]:
    by_name: dict[str, Any] = {}
    # Of several nodes with one name the latest counts.
    for node in sorted(nodes, key=_start_or_min):
        by_name[str(node.display_name or "")] = node
    ids = argo_nodes.node_ids(nodes)
    # An attempt in progress has no children yet. Which step it belongs to, no node tells.
    in_progress = {
        _state(node.state)
        for node in nodes
        if _EXECUTOR.fullmatch(str(node.display_name or "")) and not node.child_tasks
    } & {PENDING, RUNNING}
    for key, name in (tasks_of(spec) or _guess_steps(nodes)).items():
        step = _step(name, by_name.get(key), by_name.get(key + _DRIVER), run_state)
        if step.state == RUNNING and in_progress == {PENDING}:
            step = dataclasses.replace(step, state=PENDING)
        pods = argo_nodes.step_pods(key, ids) if step.started else []
        if step.message == _NOT_STARTED:
            pods = argo_nodes.driver_pods(key, ids)
            yield dataclasses.replace(step, pod=pods[-1] if pods else "")
        else:
            yield dataclasses.replace(step, attempts=len(pods), pod=pods[-1] if pods else "")


def _step(name: str, node: Any, driver: Any, run_state: str) -> RunStep:
    """Return a step's state without its pods."""
    state = _state(node.state) if node else ""
    if driver and _state(driver.state) == FAILED and state in ("", SKIPPED):
        started, finished = _time(driver.start_time), _time(driver.end_time)
        return RunStep(name, FAILED, started, finished, message=_NOT_STARTED)
    if not state:  # no node yet, or Argo omits it
        state = STARTING if driver and not node else WAITING
    if run_state in ENDED and state not in ENDED:
        begun = state not in (WAITING, STARTING)
        state = (CANCELED if run_state == CANCELED else FAILED) if begun else NOT_RUN
    return RunStep(
        name,
        state,
        started=_time(node.start_time) if node and state not in (WAITING, NOT_RUN) else None,
        finished=_time(node.end_time) if node and state in ENDED else None,
    )


def _start_or_min(node: Any) -> datetime.datetime:
    return _time(node.start_time) or datetime.datetime.min.replace(tzinfo=datetime.timezone.utc)


def tasks_of(spec: Any) -> dict[str, str]:
    """Return the containers that a pipeline runs: task name to display name.

    They are in an order in which they can run. Empty if `spec` is not a pipeline.
    """
    spec = _dict(_dict(spec).get("pipeline_spec")) or _dict(spec)
    components = _dict(spec.get("components"))
    found: dict[str, str] = {}

    def walk(component: Any, depth: int) -> None:
        tasks = _dict(_dict(_dict(component).get("dag")).get("tasks"))
        for key in _in_order(tasks):
            task = _dict(tasks[key])
            inner = _dict(components.get(str(_dict(task.get("componentRef")).get("name") or "")))
            if "dag" in inner and depth:
                walk(inner, depth - 1)
            elif "executorLabel" in inner:
                found[key] = str(_dict(task.get("taskInfo")).get("name") or key)

    walk(spec.get("root"), 8)  # deeper than any compiled pipeline
    return found


def _dict(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _in_order(tasks: Mapping[str, Any]) -> Iterable[str]:
    """Yield the names of tasks, each after its dependencies, otherwise by name."""
    left = {
        key: {str(one) for one in _list(_dict(task).get("dependentTasks"))} & tasks.keys()
        for key, task in tasks.items()
    }
    while left:
        ready = sorted(key for key, before in left.items() if not before & left.keys())
        for key in ready or sorted(left):  # else there is a circle, which no compiler writes
            yield key
            del left[key]


def _guess_steps(nodes: Iterable[Any]) -> dict[str, str]:
    """Return the steps of a run whose pipeline is unknown: the nodes that have a driver."""
    names = {str(node.display_name or "") for node in nodes}
    steps = [
        str(node.display_name)
        for node in sorted(nodes, key=_start_or_min)
        if not _INTERNAL.fullmatch(str(node.display_name or ""))
        and f"{node.display_name}{_DRIVER}" in names
    ]
    waiting = sorted(
        name.removesuffix(_DRIVER)
        for name in names
        if name.endswith(_DRIVER) and not _INTERNAL.fullmatch(name.removesuffix(_DRIVER))
    )
    return {name: name for name in [*steps, *waiting]}
