"""The smallest pipeline with small nodes merged into steps and the training on a GPU, executed.

The first attempt of a merged step is killed between two of its nodes. A second run comes from the
cache, and asks for no GPU.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import subprocess
import threading
import time

import pytest

from kubeflow.steps import metadata_url
from tests.support.kubeflow_backend import Backend, Pod, Run
from tests.support.kubeflow_volume import (
    SMALLEST,
    check_metadata,
    compile_for,
    outcomes,
    results_of,
    show,
)

# Each step is a process that imports TFX.
pytestmark = [pytest.mark.slow, pytest.mark.e2e, pytest.mark.timeout(900)]

DATA, RELEASE = "importschemagen-to-datacheck", "genregate-to-pusher"
LOOKUP, TRAINER, GPU = "lookup-trainer-ffnn", "trainer-ffnn", "nvidia.com/gpu"
FINISHED, KILLED, LAST = ("ImportSchemaGen", "StatisticsGen"), "ExampleValidator", "DataCheck"


class Killer:
    """Callback that kills the first attempt of a merged step in its third node (SIGKILL)."""

    def __init__(self, outputs: pathlib.Path) -> None:
        self._outputs = outputs

    def __call__(self, task: str, attempt: int, process: subprocess.Popen[str]) -> None:
        if task == DATA and not self._outputs.exists():
            threading.Thread(target=self._watch, args=(process,), daemon=True).start()

    def _watch(self, process: subprocess.Popen[str]) -> None:
        while process.poll() is None:
            if self._outputs.exists():
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                return
            time.sleep(0.01)


@pytest.fixture(scope="module")
def backend(volume: pathlib.Path) -> Backend:
    compiled = compile_for(
        volume,
        SMALLEST,
        "kubeflow.merge_small_steps=true",
        "kubeflow.gpu_cache_lookup=true",
        'kubeflow.resources.Trainer={gpus = 1, node_selector = {pool = "gpu"}}',
    )
    killer = Killer(volume / "root" / KILLED)
    return Backend(compiled, volume / "pages", parallel=2, on_start=killer)


@pytest.fixture(scope="module")
def first(backend: Backend, volume: pathlib.Path) -> Run:
    run = backend.run("first", data_dir=str(volume / "data"))
    show(run)
    return run


@pytest.fixture(scope="module")
def second(backend: Backend, first: Run, volume: pathlib.Path) -> Run:
    run = backend.run("second", data_dir=str(volume / "data"))
    show(run)
    return run


def test_there_are_fewer_steps_and_the_same_nodes_and_results(
    first: Run, volume: pathlib.Path
) -> None:
    assert first.succeeded
    assert {attempt.task for attempt in first.attempts} == {
        "prepare", "spectrogramgen", DATA, LOOKUP, TRAINER, "ensembler", "evaluator",
        "servingmodel", RELEASE, "report", "finish",
    }  # fmt: skip
    results = results_of(volume / "root", "first")
    assert results["gate"]["blessed"]
    assert set(outcomes(results).values()) == {"done"}
    assert outcomes(results).keys() >= {*FINISHED, KILLED, LAST, "GenreGate", "Pusher"}
    version = volume / "root" / "serving_models" / "genreflow" / results["pushed_version"]
    assert (version / "saved_model.pb").is_file()


def test_kubeflow_gets_the_outputs_of_all_nodes_of_a_step(first: Run, volume: pathlib.Path) -> None:
    version = results_of(volume / "root", "first")["pushed_version"]
    assert "blessed" in first.pages[RELEASE]
    assert first.artifacts[RELEASE].keys() == {"page", "metrics", "model"}
    assert first.parameters[RELEASE]["blessed"] is True
    assert first.parameters[RELEASE]["pushed_version"] == version


def test_each_node_has_its_own_lines_and_tfx_is_imported_once(first: Run) -> None:
    (release,) = first.of(RELEASE)
    lines = release.output.splitlines()
    assert lines[0] == "genreflow: GenreGate: starting (importing TFX takes some 15 s)"
    assert "genreflow: Pusher: starting" in lines
    assert sum(": imported in " in line for line in lines) == 1
    assert lines[-1].startswith("genreflow: Pusher: done, ")


def test_a_retry_skips_the_nodes_that_are_complete(first: Run, volume: pathlib.Path) -> None:
    dead, retried = first.of(DATA)
    assert (dead.status, retried.status) == (-signal.SIGKILL, 0)
    for node in FINISHED:
        assert f"genreflow: {node}: done, " in dead.output
        assert f"genreflow: {node}: complete since an earlier attempt or lookup, " in retried.output
    for node in (KILLED, LAST):
        assert f"genreflow: {node}: done, " not in dead.output
        assert f"genreflow: {node}: done, " in retried.output
    url = metadata_url.parse(f"sqlite://{volume}/metadata.sqlite")
    check_metadata(metadata_url.connection_config(url, {}), ["first"])


def test_each_node_has_its_own_cache_entry(second: Run, volume: pathlib.Path) -> None:
    assert second.succeeded
    found = outcomes(results_of(volume / "root", "second"))
    assert {found[node] for node in (*FINISHED, KILLED)} == {"cached"}
    assert found[LAST] == "done"  # it compares the songs with those of the serving model
    # A model is served since the first run, so the gate decides anew.
    assert (found["GenreGate"], found["Pusher"]) == ("done", "done")
    assert len(second.of(DATA)) == 1


def test_only_a_training_that_is_not_cached_asks_for_a_gpu(first: Run, second: Run) -> None:
    assert first.pods[TRAINER] == Pod({GPU: "1"}, {"pool": "gpu"})
    assert second.pods[TRAINER] == Pod({GPU: "0"}, {})
    for run in (first, second):
        order = [attempt.task for attempt in run.attempts]
        assert order.index(DATA) < order.index(LOOKUP) < order.index(TRAINER)
        assert {task for task, pod in run.pods.items() if GPU in pod.limits} == {TRAINER}
    (looked_up,), (shown,) = second.of(LOOKUP), second.of(TRAINER)
    assert "genreflow: Trainer.ffnn: taken from the cache" in looked_up.output
    assert "genreflow: Trainer.ffnn: complete since an earlier attempt or lookup" in shown.output


def test_cached_steps_tell_kubeflow_the_same_numbers(
    first: Run, second: Run, volume: pathlib.Path
) -> None:
    for task in ("trainer-ffnn", "ensembler", "evaluator"):
        assert first.artifacts[task]["metrics"].metadata
        for name in first.artifacts[task].keys() - {"page"}:
            assert first.artifacts[task][name].metadata == second.artifacts[task][name].metadata
    version = results_of(volume / "root", "second")["pushed_version"]
    assert second.parameters[RELEASE]["pushed_version"] == (version or "")
