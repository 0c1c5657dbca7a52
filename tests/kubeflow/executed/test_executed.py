"""Compiled pipelines, executed: every step's own command line.

The backend knows only KFP's intermediate representation.
"""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

from kubeflow.steps import metadata_url
from tests.support.fake_model_registry import FakeModelRegistry
from tests.support.kubeflow_backend import Backend, Run
from tests.support.kubeflow_volume import (
    SMALLEST,
    check_metadata,
    compile_for,
    outcomes,
    results_of,
    show,
)

# Each step is a process that imports TFX.
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def registry() -> Iterator[FakeModelRegistry]:
    server = FakeModelRegistry()
    yield server
    server.close()


@pytest.fixture(scope="module")
def smallest(volume: pathlib.Path, registry: FakeModelRegistry) -> Run:
    """Run the smallest graph once, two steps at a time where the graph allows it."""
    compiled = compile_for(volume, SMALLEST, f"kubeflow.model_registry={registry.url}")
    backend = Backend(compiled, volume / "pages", parallel=2)
    run = backend.run("run-1", data_dir=str(volume / "data"))
    show(run)
    return run


def test_every_step_succeeds_at_once(smallest: Run) -> None:
    assert smallest.succeeded
    assert {attempt.status for attempt in smallest.attempts} == {0}
    tasks = [attempt.task for attempt in smallest.attempts]
    assert tasks[0] == "prepare"
    assert tasks[-1] == "finish"
    assert len(tasks) == len(set(tasks)) == 15


def test_the_run_leaves_what_a_local_run_leaves(smallest: Run, volume: pathlib.Path) -> None:
    folder = volume / "root" / "runs" / "run-1"
    results = results_of(volume / "root", "run-1")
    assert results["run_id"] == "run-1"
    assert results["gate"]["blessed"]
    assert outcomes(results).keys() >= {"SpectrogramGen", "Trainer.ffnn", "Pusher"}
    assert set(outcomes(results).values()) == {"done"}
    version = volume / "root" / "serving_models" / "genreflow" / results["pushed_version"]
    assert (version / "saved_model.pb").is_file()
    assert (folder / "report" / "index.html").is_file()
    assert (folder / "rejects.csv").is_file()


def test_logs_say_what_a_step_did_and_nothing_of_tfxs_own_workings(smallest: Run) -> None:
    (audio,) = smallest.of("spectrogramgen")
    assert "genreflow: SpectrogramGen: 64 clips of 16 tracks; 0 tracks rejected" in audio.output
    (trainer,) = smallest.of("trainer-ffnn")
    lines = trainer.output.splitlines()
    assert lines[0] == "genreflow: Trainer.ffnn: starting (importing TFX takes some 15 s)"
    assert lines[1].startswith("genreflow: Trainer.ffnn: imported in ")
    assert lines[-1].startswith("genreflow: Trainer.ffnn: done, ")
    assert not [line for line in lines if line.startswith("WARNING:absl")]


def test_people_see_the_decision_and_the_report(smallest: Run) -> None:
    assert smallest.pages.keys() == {"ensembler", "genregate", "report", "finish"}
    assert "blessed" in smallest.pages["genregate"]
    assert "ffnn" in smallest.pages["ensembler"]


def test_kubeflows_own_pages_have_the_numbers_of_the_results(
    smallest: Run, volume: pathlib.Path
) -> None:
    results = results_of(volume / "root", "run-1")
    model = results["models"][results["candidate"]]
    for task, split in (("ensembler", "validation"), ("evaluator", "test")):
        found = smallest.artifacts[task]
        assert found["metrics"].schema == "system.Metrics"
        accuracy = model[split]["track_accuracy"]
        numbers = found["metrics"].metadata
        assert numbers[f"{split}_track_accuracy"] == accuracy["value"]
        assert numbers[f"{split}_track_accuracy.low"] == accuracy["low"]
        assert numbers[f"{split}_macro_f1"] == model[split]["macro_f1"]["value"]
        matrix = found["confusion"].metadata["confusionMatrix"]
        assert found["confusion"].schema == "system.ClassificationMetrics"
        assert [spec["displayName"] for spec in matrix["annotationSpecs"]] == results["genres"]
        assert [row["row"] for row in matrix["rows"]] == model[split]["confusion"]
    training = smallest.artifacts["trainer-ffnn"]["metrics"].metadata
    assert training["parameters"] == model["parameters"]
    assert smallest.artifacts["genregate"]["metrics"].metadata["blessed"] == 1


def test_steps_after_ours_get_the_decision_and_the_pushed_model(
    smallest: Run, volume: pathlib.Path
) -> None:
    version = results_of(volume / "root", "run-1")["pushed_version"]
    uri = f"pvc://genreflow/root/serving_models/genreflow/{version}"
    assert smallest.parameters["genregate"] == {"blessed": True}
    assert smallest.parameters["pusher"] == {"pushed_version": version, "model_uri": uri}
    model = smallest.artifacts["pusher"]["model"]
    assert (model.schema, model.uri) == ("system.Model", uri)
    assert model.metadata["version"] == version
    assert json.loads(model.content or "") == model.metadata


def test_the_pushed_version_is_registered(
    smallest: Run, registry: FakeModelRegistry, volume: pathlib.Path
) -> None:
    results = results_of(volume / "root", "run-1")
    (version,), (artifact,) = registry.of("model_version"), registry.of("model_artifact")
    assert version["name"] == results["pushed_version"]
    assert artifact["uri"] == smallest.parameters["pusher"]["model_uri"]
    accuracy = results["models"][results["candidate"]]["test"]["track_accuracy"]["value"]
    properties = version["customProperties"]
    assert properties["test_track_accuracy"]["double_value"] == accuracy
    assert properties["run_id"]["string_value"] == "run-1"
    (finish,) = smallest.of("finish")
    assert f"genreflow: registered as genreflow {version['name']} (id" in finish.output


def test_a_finished_training_leaves_no_checkpoint(smallest: Run, volume: pathlib.Path) -> None:
    assert list((volume / "checkpoints").glob("*")) == []
    assert list((volume / "curves" / "ffnn" / "train").iterdir())


def test_two_steps_at_once_leave_the_metadata_whole(smallest: Run, volume: pathlib.Path) -> None:
    url = metadata_url.parse(f"sqlite://{volume}/metadata.sqlite")
    check_metadata(metadata_url.connection_config(url, {}), ["run-1"])


def test_the_last_step_imports_nothing_heavy(smallest: Run, volume: pathlib.Path) -> None:
    command = [
        sys.executable, "-X", "importtime", "-m", "kubeflow.steps.finish", "--run-id", "run-1",
        "--pipeline-root", f"{volume}/root", "--metadata", f"sqlite://{volume}/metadata.sqlite",
        "--page", str(volume / "again.html"),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    assert "pushed as" in done.stdout
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "ml_metadata" in imported
    assert not {"tensorflow", "tfx", "apache_beam", "keras"} & imported
