"""What the API says of a run becomes its steps' states, and those become lines."""

from __future__ import annotations

import datetime
import json
import pathlib
import types
from collections.abc import Sequence
from typing import Any

import pytest
from kubeflow_api import child, node, run, step_nodes

from components.errors import GenreflowError
from kubeflow import package, watching
from kubeflow.client_errors import PassingError
from kubeflow.run_state import Run, Step, run_of, tasks_of

CREATED = datetime.datetime(2026, 11, 26, 8, tzinfo=datetime.timezone.utc)


def later(seconds: float) -> datetime.datetime:
    return CREATED + datetime.timedelta(seconds=seconds)


def understood(answer: dict[str, Any]) -> Run:
    """A run as kfp's client hands it out."""
    import kfp_server_api

    response = types.SimpleNamespace(data=json.dumps(answer))
    return run_of(kfp_server_api.ApiClient().deserialize(response, "V2beta1Run"))


@pytest.fixture(scope="module")
def spec(compiled_pipeline: pathlib.Path) -> Any:
    return package.read(str(compiled_pipeline)).spec


def states(found: Run) -> dict[str, str]:
    return {step.name: step.state for step in found.steps}


def test_a_run_that_has_just_been_made_has_all_steps_waiting(spec: Any) -> None:
    found = understood({"run_id": "1", "display_name": "n", "pipeline_spec": spec})
    assert (found.run_id, found.name, found.state) == ("1", "n", "pending")
    assert states(found) == dict.fromkeys(
        ["Prepare", "Trainer.vgg16", "Pusher", "Finish"], "waiting"
    )
    assert not found.is_over


def test_steps_go_from_waiting_to_their_end(spec: Any) -> None:
    found = understood(
        run(
            "1", "RUNNING",
            step_nodes("prepare", ("SUCCEEDED", 5, 30), number=100, after=(200,)),
            step_nodes("trainer-vgg16", ("RUNNING", 35, None), number=200),
            [node("pusher-driver", "RUNNING", 36)],
            spec=spec,
        )
    )  # fmt: skip
    assert states(found) == {
        "Prepare": "succeeded",
        "Trainer.vgg16": "running",
        "Pusher": "starting",
        "Finish": "waiting",
    }
    prepare, trainer, *_ = found.steps
    assert (prepare.begun, prepare.ended, prepare.attempts) == (later(5), later(30), 1)
    assert prepare.pod == "genreflow-x7k2p-system-container-impl-102"
    # What comes after a step is its child too, and no attempt of it.
    assert trainer.pod == "genreflow-x7k2p-system-container-impl-202"
    assert (trainer.begun, trainer.ended) == (later(35), None)


def test_a_pod_without_a_place_is_pending(spec: Any) -> None:
    answer = run("1", "RUNNING", step_nodes("prepare", ("PENDING", 5, None), number=100), spec=spec)
    assert states(understood(answer))["Prepare"] == "pending"


def test_attempts_are_counted_and_the_last_one_counts(spec: Any) -> None:
    tried = (("FAILED", 5, 10), ("FAILED", 12, 20), ("RUNNING", 30, None))
    answer = run("1", "RUNNING", step_nodes("prepare", *tried, number=100), spec=spec)
    step = understood(answer).steps[0]
    assert (step.state, step.attempts) == ("running", 3)
    assert step.pod == "genreflow-x7k2p-system-container-impl-104"
    assert watching.step_text(step) == "running (attempt 3)"


def test_a_step_without_retries_has_one_attempt(spec: Any) -> None:
    nodes = [
        node("prepare-driver", "SUCCEEDED", 1, 2, (child(100),), 190),
        node("prepare", "FAILED", 2, 9, (child(101),), 100),
        node("executor", "FAILED", 2, 9, (child(200),), 101),
        node("trainer-vgg16-driver", "RUNTIME_STATE_UNSPECIFIED", None, None, (), 200),
    ]
    step = understood(run("1", "FAILED", nodes, spec=spec)).steps[0]
    assert (step.state, step.attempts) == ("failed", 1)
    assert step.pod == "genreflow-x7k2p-system-container-impl-101"


def test_without_names_of_pods_states_are_those_of_the_nodes(spec: Any) -> None:
    """Backends before 2.1 send no pod_name."""
    nodes = step_nodes("prepare", ("RUNNING", 5, None), number=100)
    for one in nodes:
        one.pop("pod_name", None)
    step = understood(run("1", "RUNNING", nodes, spec=spec)).steps[0]
    assert (step.state, step.attempts, step.pod) == ("running", 0, "")


def test_what_a_failure_left_out_is_not_run(spec: Any) -> None:
    answer = run(
        "1", "FAILED",
        step_nodes("prepare", ("FAILED", 5, 30), number=100),
        [node("trainer-vgg16-driver", "RUNTIME_STATE_UNSPECIFIED", 30, 30),
         node("trainer-vgg16", "RUNTIME_STATE_UNSPECIFIED", 30, 30)],
        step_nodes("finish", ("SUCCEEDED", 31, 50), number=500),
        spec=spec, finished=51,
    )  # fmt: skip
    found = understood(answer)
    assert states(found) == {
        "Prepare": "failed",
        "Trainer.vgg16": "not run",
        "Pusher": "not run",
        "Finish": "succeeded",
    }
    assert [step.name for step in found.failed_steps] == ["Prepare"]
    assert watching.verdict(found) == "failed after 0:51: Prepare"


def test_a_step_that_kubeflow_cannot_start_has_failed(spec: Any) -> None:
    nodes = [
        node("prepare-driver", "FAILED", 5, 9, (), 190),
        node("prepare", "RUNTIME_STATE_UNSPECIFIED", 9, 9),
    ]
    step = understood(run("1", "RUNNING", nodes, spec=spec)).steps[0]
    assert (step.state, step.message) == ("failed", "Kubeflow could not start it")
    assert step.pod == "genreflow-x7k2p-system-container-impl-190"


def test_a_run_that_was_stopped_says_so_of_what_it_stopped(spec: Any) -> None:
    answer = run(
        "1", "CANCELED", step_nodes("prepare", ("RUNNING", 5, None), number=100), spec=spec,
        finished=20,
    )  # fmt: skip
    found = understood(answer)
    assert states(found)["Prepare"] == "canceled"
    assert states(found)["Finish"] == "not run"
    assert watching.verdict(found) == "canceled after 0:20"
    assert not found.succeeded


def test_a_run_that_only_its_exit_handler_saved_has_failed(spec: Any) -> None:
    """Kubeflow Pipelines before 2.5 calls it SUCCEEDED."""
    answer = run(
        "1", "SUCCEEDED",
        step_nodes("prepare", ("SUCCEEDED", 5, 30), number=100),
        step_nodes("trainer-vgg16", ("FAILED", 31, 40), number=200),
        step_nodes("finish", ("SUCCEEDED", 41, 50), number=500),
        spec=spec, finished=51,
    )  # fmt: skip
    found = understood(answer)
    assert found.is_over
    assert not found.succeeded
    assert watching.verdict(found) == (
        "failed after 0:51: Trainer.vgg16. Kubeflow calls it succeeded, by its last step alone"
    )


def test_the_steps_of_an_unknown_pipeline_are_those_that_have_drivers() -> None:
    answer = run(
        "1", "RUNNING",
        step_nodes("pusher", ("RUNNING", 31, None), number=200),
        step_nodes("prepare", ("SUCCEEDED", 5, 30), number=100),
        [node("trainer-driver", "RUNNING", 40)],
    )  # fmt: skip
    assert states(understood(answer)) == {
        "prepare": "succeeded",
        "pusher": "running",
        "trainer": "starting",
    }


def test_of_nodes_of_one_name_the_latest_counts(spec: Any) -> None:
    nodes = [node("prepare", "RUNNING", 50), node("prepare", "FAILED", 5, 9),
             node("prepare", "FAILED", None)]  # fmt: skip
    assert states(understood(run("1", "RUNNING", nodes, spec=spec)))["Prepare"] == "running"


def test_newer_versions_may_name_nodes_as_people_do(spec: Any) -> None:
    nodes = [node("Trainer.vgg16", "RUNNING", 5)]
    assert states(understood(run("1", "RUNNING", nodes, spec=spec)))["Trainer.vgg16"] == "running"


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z"])
def test_times_that_have_not_come_are_none(time: str, spec: Any) -> None:
    nodes = [node("prepare", "SUCCEEDED", 5)]
    nodes[0]["end_time"] = time
    answer = {**run("1", "RUNNING", nodes, spec=spec), "finished_at": time}
    found = understood(answer)
    assert found.finished is None
    assert (found.steps[0].begun, found.steps[0].ended) == (later(5), None)


def test_messages_are_taken_where_they_are(spec: Any) -> None:
    nodes = step_nodes("prepare", ("FAILED", 5, 9), number=100)
    nodes[-1]["state_history"] = [
        {"state": "FAILED", "error": {"code": 2, "message": " no disk "}},
        {"state": "FAILED", "error": {"code": 2, "message": "no memory" * 100}},
    ]
    answer = run("1", "FAILED", nodes, spec=spec, error={"code": 2, "message": "lost\nit"})
    found = understood(answer)
    assert found.message == "lost\nit"
    assert found.steps[0].message == ("no memory" * 100)[:500]


@pytest.mark.parametrize("state", ["", "RUNTIME_STATE_UNSPECIFIED", None])
def test_a_run_of_no_state_is_pending(state: str | None) -> None:
    assert understood({"run_id": "1", "state": state}).state == "pending"


@pytest.mark.parametrize(
    "spec",
    [None, "text", 5, [], {"root": []}, {"root": {"dag": {"tasks": ["a"]}}},
     {"root": {"dag": {"tasks": {"a": 5, "b": {"dependentTasks": 7, "componentRef": []}}}},
      "components": []},
     {"pipeline_spec": {"components": {"c": 1}}}],
)  # fmt: skip
def test_a_pipeline_that_is_none_has_no_steps(spec: Any) -> None:
    assert tasks_of(spec) == {}


def test_a_pipeline_that_goes_in_circles_is_still_listed_once() -> None:
    task = {"componentRef": {"name": "c"}}
    tasks = {"a": {**task, "dependentTasks": ["b"]}, "b": {**task, "dependentTasks": ["a", "x"]}}
    spec = {"root": {"dag": {"tasks": tasks}}, "components": {"c": {"executorLabel": "e"}}}
    assert tasks_of(spec) == {"a": "a", "b": "b"}
    loop = {
        "components": {"c": {"dag": {"tasks": {"a": task}}}},
        "root": {"dag": {"tasks": {"a": task}}},
    }
    assert tasks_of(loop) == {}


def test_nodes_that_are_each_others_children_end(spec: Any) -> None:
    nodes = [
        node("prepare", "RUNNING", 5, None, (child(1),), 100),
        node("executor", "RUNNING", 5, None, (child(2), child(1), child(7)), 1),
        node("executor(0)", "RUNNING", 5, None, (child(1),), 2),
    ]
    assert understood(run("1", "RUNNING", nodes, spec=spec)).steps[0].attempts == 1


# Lines


def one(state: str, *steps: Step, finished: datetime.datetime | None = None) -> Run:
    return Run("1", "n", state, CREATED, finished, steps)


def lines(before: Run | None, after: Run, now: float) -> list[str]:
    return [watching.line(change) for change in watching.changes(before, after, later(now))]


def test_the_first_look_says_what_has_happened_until_then_in_its_order() -> None:
    after = one(
        "running",
        Step("B", "running", later(40)),
        Step("A", "succeeded", later(1), later(31)),
        Step("C", "waiting"),
    )
    assert lines(None, after, 90) == [
        "    0:00  run: running",
        "    0:31  A: succeeded after 0:30",
        "    0:40  B: running",
    ]


def test_only_what_changed_is_said() -> None:
    before = one("running", Step("A", "running", later(1)), Step("B", "waiting"))
    assert lines(before, before, 50) == []
    after = one("running", Step("A", "succeeded", later(1), later(3700)), Step("B", "starting"))
    assert lines(before, after, 3705) == [
        " 1:01:40  A: succeeded after 1:01:39",
        " 1:01:45  B: starting",
    ]


def test_another_attempt_is_a_change_the_first_one_is_none() -> None:
    before = one("running", Step("A", "running", later(1), attempts=0))
    first = one("running", Step("A", "running", later(1), attempts=1))
    second = one("running", Step("A", "running", later(1), attempts=2))
    assert lines(before, first, 50) == []
    assert lines(first, second, 50) == ["    0:50  A: running (attempt 2)"]


def test_the_end_comes_last() -> None:
    before = one("running", Step("A", "running", later(1)), Step("B", "waiting"))
    after = one("failed", Step("A", "failed", later(1), later(9)), Step("B", "not run"),
                finished=later(8))  # fmt: skip
    assert lines(before, after, 20) == [
        "    0:09  A: failed after 0:08",
        "    0:20  B: not run",
        "    0:08  run: failed",
    ]


def test_no_time_is_before_the_run() -> None:
    assert lines(None, one("pending"), -50) == ["    0:00  run: pending"]
    assert lines(None, Run("1", "n", "pending"), 50) == ["    0:00  run: pending"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (59.4, "0:59"), (59.6, "1:00"), (3599.6, "1:00:00"), (-5, "0:00")],
)
def test_durations_are_read_as_on_a_clock(seconds: float, text: str) -> None:
    assert watching.clock(seconds) == text


def test_a_log_is_that_of_the_pod_or_of_all_of_the_run() -> None:
    found = one("failed")
    assert watching.log_command(found, Step("A", "failed", pod="p-1"), "mine") == (
        "kubectl logs -n mine p-1 -c main"
    )
    assert watching.log_command(found, Step("A", "failed"), "mine") == (
        "kubectl logs -n mine -l pipeline/runid=1 -c main --prefix --tail 50"
    )


def test_a_pods_name_that_is_a_command_is_none_when_it_is_typed() -> None:
    step = Step("A", "failed", pod="$(rm -rf ~);")
    assert watching.log_command(one("failed"), step, "mine") == (
        "kubectl logs -n mine '$(rm -rf ~);' -c main"
    )


# Following


class Script:
    """What each look finds (or raises), a clock that only sleeping moves, and what was shown."""

    def __init__(self, looks: Sequence[Run | Exception]) -> None:
        self.looks = list(looks)
        self.now = 0.0
        self.shown: list[tuple[str | None, str]] = []
        self.complaints: list[str] = []

    def look(self) -> Run:
        found = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        if isinstance(found, Exception):
            raise found
        return found

    def follow(self) -> Run:
        def sleep(seconds: float) -> None:
            self.now += seconds

        return watching.follow(
            self.look,
            lambda before, run: self.shown.append((before and before.state, run.state)),
            self.complaints.append,
            sleep=sleep,
            monotonic=lambda: self.now,
            interval_s=5,
            patience_s=60,
        )


def test_it_looks_until_the_run_is_over() -> None:
    script = Script([one("pending"), one("running"), one("running"), one("succeeded")])
    assert script.follow().state == "succeeded"
    assert script.shown == [
        (None, "pending"), ("pending", "running"), ("running", "running"), ("running", "succeeded"),
    ]  # fmt: skip
    assert script.now == 15


def test_a_run_that_is_over_needs_one_look() -> None:
    script = Script([one("failed")])
    assert script.follow().state == "failed"
    assert script.now == 0


def test_failures_of_the_network_pass_and_are_told_once() -> None:
    gone = PassingError("http://h: nothing listens there")
    script = Script([one("running"), gone, gone, one("running"), gone, one("succeeded")])
    assert script.follow().state == "succeeded"
    assert script.complaints == [
        "http://h: nothing listens there; trying again for 1:00",
        "answers again after 0:10",
        "http://h: nothing listens there; trying again for 1:00",
        "answers again after 0:05",
    ]
    assert script.shown[1] == ("running", "running")


def test_patience_ends() -> None:
    script = Script([one("running"), PassingError("http://h: no answer in time")])
    with pytest.raises(GenreflowError, match="no answer in time; given up after 1:00"):
        script.follow()
    assert script.now == 5 + 60
    assert len(script.complaints) == 1


def test_other_failures_end_it_at_once() -> None:
    script = Script([one("running"), GenreflowError("refuses the token")])
    with pytest.raises(GenreflowError, match="refuses the token"):
        script.follow()
    assert script.complaints == []
