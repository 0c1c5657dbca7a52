"""The demonstration's whole pipeline, executed step by step.

ML Metadata is in a real MySQL-compatible server. Trainers run at the same time, one of them is
killed, and a second run comes from the cache.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import threading
import time

import pytest

from kubeflow.steps import metadata_url
from pipeline.config.load import shipped_config
from tests.support.kubeflow_backend import Backend, Run
from tests.support.kubeflow_volume import check_metadata, compile_for, outcomes, results_of, show
from tests.support.mariadb_server import PASSWORD, MariaDb

pytestmark = [pytest.mark.slow, pytest.mark.e2e, pytest.mark.timeout(2400)]

VICTIM = "trainer-cnn-small"
SECRET = {metadata_url.PASSWORD_VARIABLE: PASSWORD}


class Killer:
    """Callback that kills the first attempt of a training (SIGKILL) after its first checkpoint."""

    def __init__(self, checkpoints: pathlib.Path) -> None:
        self._checkpoints = checkpoints
        self.killed = threading.Event()

    def __call__(self, task: str, attempt: int, process: subprocess.Popen[str]) -> None:
        if task == VICTIM and attempt == 0:
            threading.Thread(target=self._watch, args=(process,), daemon=True).start()

    def _watch(self, process: subprocess.Popen[str]) -> None:
        while process.poll() is None:
            if list(self._checkpoints.glob("cnn_small-*.npz")):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                self.killed.set()
                return
            time.sleep(0.02)


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return tmp_path_factory.mktemp("volume")


@pytest.fixture(scope="module")
def killer(volume: pathlib.Path) -> Killer:
    return Killer(volume / "checkpoints")


@pytest.fixture(scope="module")
def backend(volume: pathlib.Path, mariadb: MariaDb, killer: Killer) -> Backend:
    compiled = compile_for(
        volume,
        shipped_config("demo"),
        "kubeflow.metadata_secret=genreflow-metadata",
        metadata=mariadb.url,
    )
    return Backend(compiled, volume / "pages", environment=SECRET, parallel=2, on_start=killer)


@pytest.fixture(scope="module")
def first(backend: Backend) -> Run:
    run = backend.run("first")
    show(run)
    return run


@pytest.fixture(scope="module")
def second(backend: Backend, first: Run) -> Run:
    run = backend.run("second")
    show(run)
    return run


def test_the_demo_becomes_a_blessed_and_pushed_model(first: Run, volume: pathlib.Path) -> None:
    assert first.succeeded
    results = results_of(volume / "root", "first")
    assert results["gate"]["blessed"]
    assert {"ffnn", "cnn_small", "vgg16"} <= results["models"].keys()
    assert "passed" in first.pages["servingcheck"]
    models = volume / "root" / "serving_models" / "genreflow"
    assert (models / results["pushed_version"] / "saved_model.pb").is_file()


def test_a_killed_step_is_tried_again_and_goes_on(
    first: Run, killer: Killer, volume: pathlib.Path
) -> None:
    assert killer.killed.is_set()
    dead, retried = first.of(VICTIM)
    assert (dead.status, retried.status) == (-signal.SIGKILL, 0)
    # The retry took over the killed attempt's execution and its emptied folders.
    outputs = volume / "root" / "Trainer.cnn_small"
    (execution,) = (outputs / "model_run").iterdir()
    (history,) = execution.rglob("history.json")
    assert json.loads(history.read_text())["resumed_epochs"] >= 1
    assert list((volume / "checkpoints").iterdir()) == []
    others = [attempt.task for attempt in first.attempts if attempt.task != VICTIM]
    assert len(others) == len(set(others))


def test_trainers_run_at_once(first: Run) -> None:
    trainers = [a for a in first.attempts if a.task.startswith("trainer-")]
    assert any(
        one.begun < other.begun < one.ended
        for one in trainers
        for other in trainers
        if one.task != other.task
    )


def test_a_second_run_is_taken_from_the_cache(second: Run, volume: pathlib.Path) -> None:
    assert second.succeeded
    results = [results_of(volume / "root", run_id) for run_id in ("first", "second")]
    found = outcomes(results[1])
    assert found.keys() == outcomes(results[0]).keys()
    # The serving model has changed, so the nodes that depend on it run again.
    assert {node for node, outcome in found.items() if outcome == "done"} == {
        "ServingModel", "DataCheck", "GenreGate", "ServingCheck", "Pusher", "Report",
    }  # fmt: skip
    assert results[0]["models"] == results[1]["models"]
    # A candidate that is the serving model is not pushed again.
    assert results[1]["pushed_version"] is None


def test_cached_steps_tell_kubeflow_the_same_numbers(first: Run, second: Run) -> None:
    for task in ("trainer-vgg16", "baselinetrainer", "ensembler", "evaluator"):
        assert first.artifacts[task]["metrics"].metadata
        for name in first.artifacts[task].keys() - {"page"}:
            assert first.artifacts[task][name].metadata == second.artifacts[task][name].metadata
    assert first.parameters["genregate"]["blessed"] is True
    assert first.parameters["pusher"]["pushed_version"]
    assert second.parameters["pusher"] == {"pushed_version": "", "model_uri": ""}


def test_the_metadata_is_whole_after_both_runs(second: Run, mariadb: MariaDb) -> None:
    url = metadata_url.parse(mariadb.url)
    check_metadata(metadata_url.connection_config(url, SECRET), ["first", "second"])


def test_the_password_is_told_nowhere(
    first: Run, second: Run, volume: pathlib.Path, backend: Backend
) -> None:
    for run in (first, second):
        assert not any(PASSWORD in attempt.output for attempt in run.attempts)
        assert not any(PASSWORD in page for page in run.pages.values())
    assert PASSWORD not in (volume / "pipeline.yaml").read_text()
    for run_id in ("first", "second"):
        assert PASSWORD not in (volume / "root" / "runs" / run_id / "pipeline.json").read_text()
