"""Steps' states, from the API's responses."""

from __future__ import annotations

import datetime
import json
import pathlib
import types
from typing import Any

import pytest

from kubeflow.client import package, watching
from kubeflow.client.run_state import Run, run_of, tasks_of
from tests.support.kubeflow_api import child, node, run, step_nodes

CREATED = datetime.datetime(2026, 11, 26, 8, tzinfo=datetime.timezone.utc)


def later(seconds: float) -> datetime.datetime:
    return CREATED + datetime.timedelta(seconds=seconds)


def understood(answer: dict[str, Any]) -> Run:
    """Return the run in a response of the API, deserialized by kfp's client."""
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
    assert (prepare.started, prepare.finished, prepare.attempts) == (later(5), later(30), 1)
    assert prepare.pod == "genreflow-x7k2p-system-container-impl-102"
    # The step after it is its child too, but not an attempt.
    assert trainer.pod == "genreflow-x7k2p-system-container-impl-202"
    assert (trainer.started, trainer.finished) == (later(35), None)


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
    """Kubeflow Pipelines before 2.5 reports it as SUCCEEDED."""
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
        "failed after 0:51: Trainer.vgg16. Kubeflow reports it as succeeded, by its last step alone"
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
    assert (found.steps[0].started, found.steps[0].finished) == (later(5), None)


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
