"""State of a run and its steps, from the API's responses.

The API of Kubeflow Pipelines 2 lists the nodes of the pipeline's Argo workflow
(backend/src/common/util/workflow.go, `NodeStatuses`, in kubeflow/pipelines). A step `a` has these:

- a pod `a-driver`, which prepares it
- a node `a`
- below `a` a node `executor`, and with retries one pod `executor(N)` for each attempt

Other nodes stand for the graph and the exit handler. A step that has not started has no node. So
the steps are read from the pipeline, which the response contains, and their states from the nodes
with their names.
"""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

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


@dataclasses.dataclass(frozen=True)
class RunStep:
    """State of one step of a run.

    Attributes:
      name: as shown to people, such as "Trainer.vgg16".
      state: in lower case.
      started: start of the first attempt; None if not started.
      finished: None if the step is not over.
      attempts: number of attempts, as far as the API tells.
      message: error message; "" for none.
      pod: pod of the last attempt, or of the driver if that failed; "" if the API does not tell.
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
        """Return whether the run and all its steps succeeded.

        Before version 2.5, Kubeflow Pipelines reports a failed run as succeeded if its exit
        handler succeeded (kubeflow/pipelines#11405).
        """
        return self.state == SUCCEEDED and not self.failed_steps


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
    by_hash = {_hash(node.pod_name): node for node in nodes if node.pod_name}
    steps = tasks_of(spec) or _guess_steps(nodes)
    for key, name in steps.items():
        # Nodes have the task's name; newer versions use the display name.
        node = by_name.get(key) or by_name.get(name)
        yield _step(name, node, by_name.get(key + _DRIVER), by_hash, run_state)


def _step(name: str, node: Any, driver: Any, by_hash: Mapping[str, Any], run_state: str) -> RunStep:
    state = _state(node.state) if node else ""
    if driver and _state(driver.state) == FAILED and state in ("", SKIPPED):
        return RunStep(
            name,
            FAILED,
            _time(driver.start_time),
            _time(driver.end_time),
            message=_node_message(driver) or "Kubeflow could not start it",
            pod=_text(driver.pod_name),
        )
    pods = sorted(_executors(node, by_hash), key=_start_or_min) if node else []
    attempts = [pod for pod in pods if "(" in str(pod.display_name)] or pods
    last = attempts[-1] if attempts else None
    if not state:  # no node yet, or Argo omits it
        state = STARTING if driver and not node else WAITING
    elif state == RUNNING and last is not None and _state(last.state) == PENDING:
        state = PENDING
    if run_state in ENDED and state not in ENDED:
        started = state not in (WAITING, STARTING)
        state = (CANCELED if run_state == CANCELED else FAILED) if started else NOT_RUN
    messages = [_node_message(one) for one in (node, last) if one is not None]
    return RunStep(
        name,
        state,
        started=_time(node.start_time) if node and state not in (WAITING, NOT_RUN) else None,
        finished=_time(node.end_time) if node and state in ENDED else None,
        attempts=len(attempts),
        message=next(filter(None, messages), ""),
        pod=_text(last.pod_name) if last is not None else "",
    )


def _node_message(node: Any) -> str:
    history = [_message(getattr(status, "error", None)) for status in node.state_history or ()]
    return _message(node.error) or next(filter(None, reversed(history)), "")


def _text(value: Any) -> str:
    return str(value or "")


def _start_or_min(node: Any) -> datetime.datetime:
    return _time(node.start_time) or datetime.datetime.min.replace(tzinfo=datetime.timezone.utc)


def _hash(pod_name: Any) -> str:
    """Return the hash that ends both a node's name and its pod's; what precedes it differs."""
    return str(pod_name).rpartition("-")[2]


def _executors(node: Any, by_hash: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the executors below a node.

    The nodes that run after it are its children too; these are not followed.
    """
    seen: set[str] = set()
    parents = [node]
    while parents:
        for child in parents.pop().child_tasks or ():
            key = _hash(child.pod_name)
            found = by_hash.get(key)
            if found is None or key in seen:
                continue
            if _EXECUTOR.fullmatch(str(found.display_name or "")):
                seen.add(key)
                parents.append(found)
                yield found


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
            inner = _dict(components.get(_text(_dict(task.get("componentRef")).get("name"))))
            if "dag" in inner and depth:
                walk(inner, depth - 1)
            elif "executorLabel" in inner:
                found[key] = _text(_dict(task.get("taskInfo")).get("name")) or key

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
