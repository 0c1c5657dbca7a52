"""What Kubeflow says of a run, as people think of it: its steps and how far each one is.

The API of Kubeflow Pipelines 2 lists the nodes of the Argo workflow that it made of a pipeline
(backend/src/common/util/workflow.go, `NodeStatuses`, in kubeflow/pipelines). For a step `a` that
is a pod `a-driver`, which prepares it; a node `a`; below that `executor`, and one pod
`executor(N)` for each attempt where failed ones are tried again; and nodes for the graph and the
exit handler. A step that has not begun has no node. So the steps come from the pipeline, which
the API sends along, and their states from the nodes of their names.
"""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

# States of steps. The last ones are those in which a step stays.
WAITING, STARTING, PENDING, RUNNING = "waiting", "starting", "pending", "running"
SUCCEEDED, FAILED, CANCELED, SKIPPED, NOT_RUN = (
    "succeeded", "failed", "canceled", "skipped", "not run",
)  # fmt: skip
ENDED = frozenset({SUCCEEDED, FAILED, CANCELED, SKIPPED})
# What the API calls a state whose name it does not know, such as Argo's "Omitted".
_UNSPECIFIED = ("", "RUNTIME_STATE_UNSPECIFIED")
_EXECUTOR = re.compile(r"executor(\(\d+\))?", re.ASCII)
_DRIVER = "-driver"
# Of nodes that nobody named: the graph, groups of steps, hooks.
_INTERNAL = re.compile(
    r"(root|exit-handler-\d+|for-loop-\d+|condition-.*|.*\.onExit|exit-hook-.*)", re.ASCII
)
_MAX_MESSAGE = 500


@dataclasses.dataclass(frozen=True)
class Step:
    """One step. `attempts`: how often it was begun, as far as the API tells. `pod`: of the last
    attempt (of its driver where that failed), "" where the API does not tell."""

    name: str
    state: str
    begun: datetime.datetime | None = None
    ended: datetime.datetime | None = None
    attempts: int = 0
    message: str = ""
    pod: str = ""


@dataclasses.dataclass(frozen=True)
class Run:
    """One run. `state` is in lower case; `steps` in an order in which they can run, none where
    runs are listed."""

    run_id: str
    name: str
    state: str
    created: datetime.datetime | None = None
    finished: datetime.datetime | None = None
    steps: tuple[Step, ...] = ()
    message: str = ""

    @property
    def is_over(self) -> bool:
        return self.state in ENDED

    @property
    def failed_steps(self) -> tuple[Step, ...]:
        return tuple(step for step in self.steps if step.state == FAILED)

    @property
    def succeeded(self) -> bool:
        """Whether all went well. Before Kubeflow Pipelines 2.5 a run whose exit handler went
        well counts as succeeded, whatever came before (kubeflow/pipelines#11405)."""
        return self.state == SUCCEEDED and not self.failed_steps


def run_of(answer: Any) -> Run:
    """A run of the client's `V2beta1Run`."""
    state = _state(answer.state)
    details = getattr(answer.run_details, "task_details", None)
    message = _message(answer.error)
    nodes = [node for node in details or () if node is not None]
    return Run(
        run_id=str(answer.run_id or ""),
        name=str(answer.display_name or ""),
        state=state or PENDING,
        created=_time(answer.created_at),
        finished=_time(answer.finished_at),
        steps=tuple(_steps(nodes, answer.pipeline_spec, state)),
        message=message,
    )


def _state(value: Any) -> str:
    """In lower case; "" where there is none."""
    text = str(value or "").upper()
    if text in _UNSPECIFIED:
        return ""
    # Of the API's first version, in runs that are older than the second.
    return FAILED if text == "ERROR" else text.lower()


def _time(value: Any) -> datetime.datetime | None:
    """A time as the API means it: what has not come yet is the year 1 or 1970 there."""
    if not isinstance(value, datetime.datetime) or value.year <= 1970:
        return None
    try:
        aware = value if value.tzinfo else value.replace(tzinfo=datetime.timezone.utc)
        return aware.astimezone(datetime.timezone.utc)
    except (ValueError, OverflowError):  # a time zone that is none, a year beyond all years
        return None


def _message(status: Any) -> str:
    return str(getattr(status, "message", None) or "").strip()[:_MAX_MESSAGE]


def _steps(nodes: list[Any], spec: Any, run_state: str) -> Iterator[Step]:
    by_name: dict[str, Any] = {}
    # The latest of those of one name is the one that counts.
    for node in sorted(nodes, key=_begun_or_first):
        by_name[str(node.display_name or "")] = node
    by_hash = {_hash(node.pod_name): node for node in nodes if node.pod_name}
    steps = tasks_of(spec) or _guessed(nodes)
    for key, name in steps.items():
        # The task's own name is what nodes are called; newer versions use the one for people.
        node = by_name.get(key) or by_name.get(name)
        yield _step(name, node, by_name.get(key + _DRIVER), by_hash, run_state)


def _step(name: str, node: Any, driver: Any, by_hash: Mapping[str, Any], run_state: str) -> Step:
    state = _state(node.state) if node else ""
    if driver and _state(driver.state) == FAILED and state in ("", SKIPPED):
        return Step(
            name,
            FAILED,
            _time(driver.start_time),
            _time(driver.end_time),
            message=_node_message(driver) or "Kubeflow could not start it",
            pod=_text(driver.pod_name),
        )
    pods = sorted(_executors(node, by_hash), key=_begun_or_first) if node else []
    attempts = [pod for pod in pods if "(" in str(pod.display_name)] or pods
    last = attempts[-1] if attempts else None
    if not state:  # no node yet, or one that Argo leaves out
        state = STARTING if driver and not node else WAITING
    elif state == RUNNING and last is not None and _state(last.state) == PENDING:
        state = PENDING
    if run_state in ENDED and state not in ENDED:
        begun = state not in (WAITING, STARTING)
        state = (CANCELED if run_state == CANCELED else FAILED) if begun else NOT_RUN
    messages = [_node_message(one) for one in (node, last) if one is not None]
    return Step(
        name,
        state,
        begun=_time(node.start_time) if node and state not in (WAITING, NOT_RUN) else None,
        ended=_time(node.end_time) if node and state in ENDED else None,
        attempts=len(attempts),
        message=next(filter(None, messages), ""),
        pod=_text(last.pod_name) if last is not None else "",
    )


def _node_message(node: Any) -> str:
    history = [_message(getattr(status, "error", None)) for status in node.state_history or ()]
    return _message(node.error) or next(filter(None, reversed(history)), "")


def _text(value: Any) -> str:
    return str(value or "")


def _begun_or_first(node: Any) -> datetime.datetime:
    return _time(node.start_time) or datetime.datetime.min.replace(tzinfo=datetime.timezone.utc)


def _hash(pod_name: Any) -> str:
    """What names of a node and of its pod have in common: they differ in what stands before."""
    return str(pod_name).rpartition("-")[2]


def _executors(node: Any, by_hash: Mapping[str, Any]) -> Iterator[Any]:
    """The executors below a node; those that come after it are its children too, and are not
    followed."""
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
    """The containers that a pipeline runs: task name to the name for people, in an order in which
    they can run. Empty where it is no pipeline that could be understood."""
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

    walk(spec.get("root"), 8)  # deeper than anything that is compiled here
    return found


def _dict(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _in_order(tasks: Mapping[str, Any]) -> Iterable[str]:
    """Names of tasks, each after those that it depends on, else by name."""
    left = {
        key: {str(one) for one in _list(_dict(task).get("dependentTasks"))} & tasks.keys()
        for key, task in tasks.items()
    }
    while left:
        ready = sorted(key for key, before in left.items() if not before & left.keys())
        for key in ready or sorted(left):  # or: depend on each other, which no compiler writes
            yield key
            del left[key]


def _guessed(nodes: Iterable[Any]) -> dict[str, str]:
    """The steps of a run whose pipeline is not known: those that have a driver."""
    names = {str(node.display_name or "") for node in nodes}
    steps = [
        str(node.display_name)
        for node in sorted(nodes, key=_begun_or_first)
        if not _INTERNAL.fullmatch(str(node.display_name or ""))
        and f"{node.display_name}{_DRIVER}" in names
    ]
    waiting = sorted(
        name.removesuffix(_DRIVER)
        for name in names
        if name.endswith(_DRIVER) and not _INTERNAL.fullmatch(name.removesuffix(_DRIVER))
    )
    return {name: name for name in [*steps, *waiting]}
