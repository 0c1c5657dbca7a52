"""The compiled pipeline, executed: every step's own command line, by a backend that knows only
KFP's intermediate representation."""

from __future__ import annotations

import json
import pathlib

import pytest
from kubeflow_backend import Backend, Run

from components.datasets.synthesis import write_corpus
from kubeflow import compiler
from pipeline.config_load import load

# A process for each step, each with TFX's import.
pytestmark = [pytest.mark.slow, pytest.mark.e2e]

SMALLEST = """
[dataset]
kind = "fma"
[split]
policy = "official"
[training]
epochs = 1
[models.ffnn]
[baselines]
models = []
[gate]
floor = 0.0
beats_baseline = false
holds_ensemble = false
holds_serving = false
recall_floor = 0.0
[serving]
check = false
"""


def compiled(folder: pathlib.Path, text: str, *overrides: str) -> pathlib.Path:
    """A configuration compiled for a volume that is mounted at `folder`."""
    config = folder / "config.toml"
    config.write_text(text, encoding="utf-8")
    settings = [
        "kubeflow.image=registry.example.org/genreflow:1",
        f"kubeflow.volume_path={folder}",
        "kubeflow.volume_claim=genreflow",
        f"kubeflow.pipeline_root={folder}/root",
        f"kubeflow.metadata=sqlite://{folder}/metadata.sqlite",
        "kubeflow.retry_seconds=0",
    ]
    loaded = load(config, [*settings, *overrides])
    (folder / "root").mkdir(exist_ok=True)
    target = folder / "pipeline.yaml"
    compiler.compile_pipeline(loaded, loaded.kubeflow, str(target))
    return target


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """What all steps mount, with a corpus of 16 tracks on it."""
    folder = tmp_path_factory.mktemp("volume")
    write_corpus(str(folder / "data"), tracks=16, track_seconds=3.0, workers=1)
    return folder


@pytest.fixture(scope="module")
def smallest(volume: pathlib.Path) -> Run:
    """One run of the smallest graph."""
    backend = Backend(compiled(volume, SMALLEST), volume / "pages")
    run = backend.run("run-1", data_dir=str(volume / "data"))
    for attempt in run.attempts:
        print(f"--- {attempt.task}: {attempt.status}\n{attempt.output[-2000:]}")
    return run


def test_every_step_succeeds_at_once(smallest: Run) -> None:
    assert smallest.succeeded
    assert {attempt.status for attempt in smallest.attempts} == {0}
    tasks = [attempt.task for attempt in smallest.attempts]
    assert tasks[0] == "prepare"
    assert tasks[-1] == "finish"
    assert len(tasks) == len(set(tasks)) == 14


def test_the_run_leaves_what_a_local_run_leaves(smallest: Run, volume: pathlib.Path) -> None:
    folder = volume / "root" / "runs" / "run-1"
    results = json.loads((folder / "results.json").read_text())
    assert results["run_id"] == "run-1"
    assert results["gate"]["blessed"]
    assert set(results["nodes"]) >= {"SpectrogramGen", "Trainer.ffnn", "Pusher"}
    assert {node["outcome"] for node in results["nodes"].values()} == {"done"}
    version = volume / "root" / "serving_models" / "genreflow" / results["pushed_version"]
    assert (version / "saved_model.pb").is_file()
    assert (folder / "report" / "index.html").is_file()
    assert (folder / "rejects.csv").is_file()


def test_people_see_the_decision_and_the_report(smallest: Run) -> None:
    assert smallest.pages.keys() == {"ensembler", "genregate", "report", "finish"}
    assert "blessed" in smallest.pages["genregate"]
    assert "ffnn" in smallest.pages["ensembler"]
