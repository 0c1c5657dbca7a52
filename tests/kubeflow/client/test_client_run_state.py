"""Steps' states, from the API's responses."""

from __future__ import annotations

import datetime
import json
import pathlib
import types
from typing import Any

import pytest

from kubeflow.client import argo_nodes, package, watching
from kubeflow.client.run_state import Run, run_of, tasks_of
from tests.support.kubeflow_api import node, node_id, run, step_name, step_nodes

CREATED = datetime.datetime(2026, 11, 26, 8, tzinfo=datetime.timezone.utc)


def later(seconds: float) -> datetime.datetime:
    return CREATED + datetime.timedelta(seconds=seconds)


def pod(step: str, attempt: int) -> str:
    """Return the id of a pod in a run of the support module."""
    return node_id(f"{step_name(step)}.executor({attempt})")


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
            step_nodes("prepare", ("SUCCEEDED", 5, 30)),
            step_nodes("trainer-vgg16", ("RUNNING", 35, None)),
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
    assert prepare.pod == pod("prepare", 0)
    assert trainer.pod == pod("trainer-vgg16", 0)
    assert (trainer.started, trainer.finished) == (later(35), None)


def test_a_pod_without_a_place_is_pending(spec: Any) -> None:
    answer = run("1", "RUNNING", step_nodes("prepare", ("PENDING", 5, None)), spec=spec)
    assert states(understood(answer))["Prepare"] == "pending"


def test_attempts_are_counted_and_the_last_one_counts(spec: Any) -> None:
    tried = (("FAILED", 5, 10), ("FAILED", 12, 20), ("RUNNING", 30, None))
    answer = run("1", "RUNNING", step_nodes("prepare", *tried), spec=spec)
    step = understood(answer).steps[0]
    assert (step.state, step.attempts) == ("running", 3)
    assert step.pod == pod("prepare", 2)
    assert watching.step_text(step) == "running (attempt 3)"


def test_a_step_without_retries_has_one_attempt(spec: Any) -> None:
    step = step_name("prepare")
    nodes = [
        node("prepare-driver", "SUCCEEDED", 1, 2, (step,)),
        node("prepare", "FAILED", 2, 9, (f"{step}.executor",)),
        node("executor", "FAILED", 2, 9, (f"{step_name('trainer-vgg16')}-driver",)),
        node("trainer-vgg16-driver", "", None, None, ()),
    ]
    found = understood(run("1", "FAILED", nodes, spec=spec)).steps[0]
    assert (found.state, found.attempts) == ("failed", 1)
    assert found.pod == node_id(f"{step}.executor")


def test_what_a_failure_left_out_is_not_run(spec: Any) -> None:
    answer = run(
        "1", "FAILED",
        step_nodes("prepare", ("FAILED", 5, 30)),
        [node("trainer-vgg16-driver", "", 30, 30),
         node("trainer-vgg16", "", 30, 30)],
        step_nodes("finish", ("SUCCEEDED", 31, 50)),
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
        node("prepare-driver", "FAILED", 5, 9),
        node("prepare", "", 9, 9),
    ]
    step = understood(run("1", "RUNNING", nodes, spec=spec)).steps[0]
    assert (step.state, step.message) == ("failed", "Kubeflow could not start it")
    assert step.pod == node_id(f"{step_name('prepare')}-driver")


def test_a_run_that_was_stopped_says_so_of_what_it_stopped(spec: Any) -> None:
    answer = run(
        "1", "CANCELED", step_nodes("prepare", ("RUNNING", 5, None)), spec=spec,
        finished=20,
    )  # fmt: skip
    found = understood(answer)
    assert states(found)["Prepare"] == "canceled"
    assert states(found)["Finish"] == "not run"
    assert watching.verdict(found) == "canceled after 0:20"
    assert not found.succeeded


def test_the_steps_of_an_unknown_pipeline_are_those_that_have_drivers() -> None:
    answer = run(
        "1", "RUNNING",
        step_nodes("pusher", ("RUNNING", 31, None)),
        step_nodes("prepare", ("SUCCEEDED", 5, 30)),
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


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z"])
def test_times_that_have_not_come_are_none(time: str, spec: Any) -> None:
    nodes = [node("prepare", "SUCCEEDED", 5)]
    nodes[0]["end_time"] = time
    answer = {**run("1", "RUNNING", nodes, spec=spec), "finished_at": time}
    found = understood(answer)
    assert found.finished is None
    assert (found.steps[0].started, found.steps[0].finished) == (later(5), None)


def test_the_message_is_that_of_the_run(spec: Any) -> None:
    """No node has one."""
    error = {"code": 2, "message": " lost\nit" + "!" * 600}
    found = understood(run("1", "FAILED", spec=spec, error=error))
    assert found.message == "lost\nit" + "!" * 493


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
    step = step_name("prepare")
    pods = (f"{step}.executor(0)", f"{step}.executor", step)
    nodes = [
        node("prepare-driver", "SUCCEEDED", 1, 2, (step,)),
        *(node(name, "RUNNING", 5, None, pods) for name in ("prepare", "executor", "executor(0)")),
    ]
    assert understood(run("1", "RUNNING", nodes, spec=spec)).steps[0].attempts == 1


def test_nodes_that_fit_no_name_end_the_search() -> None:
    nodes = [
        types.SimpleNamespace(
            display_name=f"n{number}", child_tasks=[types.SimpleNamespace(pod_name=f"w-{number}")]
        )
        for number in range(3)
    ]
    assert argo_nodes.node_ids(nodes) == {}
    assert argo_nodes.node_ids([]) == {}


# Runs that Kubeflow Pipelines 2.17.0 answered

STEPS = [
    "prepare", "importschemagen", "spectrogramgen", "servingmodel", "statisticsgen",
    "examplevalidator", "datacheck", "trainer-ffnn", "ensembler", "evaluator", "genregate",
    "pusher", "report", "finish",
]  # fmt: skip


def recorded(name: str) -> dict[str, Any]:
    """Return a recorded response, which had neither a pipeline nor the run's state."""
    text = (pathlib.Path(__file__).parent / "recorded" / f"{name}.json").read_text("ascii")
    response: dict[str, Any] = json.loads(text)
    return response


def test_of_a_recorded_run_every_step_has_its_state_attempt_and_pod() -> None:
    found = understood({**recorded("run-ok"), "state": "SUCCEEDED"})
    assert sorted(states(found)) == sorted(STEPS)
    assert set(states(found).values()) == {"succeeded"}
    assert {step.attempts for step in found.steps} == {1}
    pods = {step.name: step.pod for step in found.steps}
    assert len(set(pods.values())) == len(STEPS)
    assert pods["trainer-ffnn"] == "genreflow-8pdrl-3116732072"
    assert pods["finish"] == "genreflow-8pdrl-1219702468"
    (audio,) = [step for step in found.steps if step.name == "spectrogramgen"]
    assert watching.step_text(audio) == "succeeded after 3:44"


def test_of_a_recorded_failure_one_step_has_failed_and_the_rest_did_not_run() -> None:
    found = understood({**recorded("run-failed"), "state": "FAILED"})
    assert states(found) == {
        **dict.fromkeys(STEPS, "not run"), "prepare": "failed", "finish": "succeeded"
    }  # fmt: skip
    (failed,) = found.failed_steps
    assert (failed.attempts, failed.pod) == (1, "genreflow-2h7zc-3910202153")
    assert watching.step_text(failed) == "failed after 0:15"


@pytest.mark.parametrize("name", ["run-ok", "run-failed"])
def test_every_child_in_a_recorded_run_is_found_by_its_name(name: str) -> None:
    nodes = recorded(name)["run_details"]["task_details"]
    children = {child["pod_name"] for one in nodes for child in one.get("child_tasks") or ()}
    parsed = [
        types.SimpleNamespace(
            display_name=one["display_name"],
            child_tasks=[types.SimpleNamespace(**child) for child in one.get("child_tasks") or ()],
        )
        for one in nodes
    ]
    assert set(argo_nodes.node_ids(parsed).values()) == children
    assert len(children) in (95, 47)


@pytest.mark.parametrize("name", ["run-ok", "run-failed"])
def test_our_own_answers_have_the_fields_of_the_recorded_ones(name: str) -> None:
    known = {key for one in recorded(name)["run_details"]["task_details"] for key in one}
    made = step_nodes("prepare", ("FAILED", 1, 2), ("SUCCEEDED", 3, 4))
    assert {key for one in made for key in one} == known
