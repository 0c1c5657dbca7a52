"""Outputs of nodes in Kubeflow's terms, read back with kfp's own classes."""

from __future__ import annotations

import json
import math
import pathlib
from typing import Any

import numpy as np
import pytest

from components.common.errors import UsageError
from components.predictions import metrics
from kubeflow.steps import executor_output, outputs, scores
from kubeflow.steps.executor_output import ExecutorOutput
from tests.support.fake_record import GENRES, FakeRecord, predictions


def written(folder: pathlib.Path, node: str, *, models: str = "/models", pushed: str = "") -> Any:
    """Return a node's ExecutorOutput, parsed by the launcher's own message."""
    from google.protobuf import json_format
    from kfp.pipeline_spec import pipeline_spec_pb2

    output = ExecutorOutput()
    files = {"model": str(folder / "deep" / "model")}
    outputs.write(node, FakeRecord(folder, pushed=pushed), files, output, models)
    output.write(str(folder / "also" / "deep" / "output.json"))
    text = (folder / "also" / "deep" / "output.json").read_text()
    message = json_format.Parse(text, pipeline_spec_pb2.ExecutorOutput())
    parsed = json_format.MessageToDict(message)
    assert parsed.get("artifacts", {}).keys() | parsed.get("parameterValues", {}).keys() <= set(
        outputs.declared(node)
    )
    return parsed


def metadata(parsed: Any, name: str) -> Any:
    return parsed["artifacts"][name]["artifacts"][0]["metadata"]


@pytest.mark.parametrize(("node", "split"), [("Ensembler", "validation"), ("Evaluator", "test")])
def test_metrics_are_those_of_the_results(tmp_path: pathlib.Path, node: str, split: str) -> None:
    found = metadata(written(tmp_path, node), "metrics")
    rows = predictions()
    for model in ("crnn", "svm"):
        part = rows[(rows["model"] == model) & (rows["split"] == split)]
        expected = metrics.evaluate(part, GENRES).rounded()
        accuracy = expected.track_accuracy
        assert found[f"{split}_track_accuracy.{model}"] == accuracy.value
        assert found[f"{split}_track_accuracy.{model}.low"] == accuracy.low
        assert found[f"{split}_track_accuracy.{model}.high"] == accuracy.high
        assert found[f"{split}_macro_f1.{model}"] == expected.macro_f1.value
        if model == "crnn":
            assert found[f"{split}_track_accuracy"] == accuracy.value
            assert found[f"{split}_macro_f1.low"] == expected.macro_f1.low
            assert found[f"{split}_tracks"] == expected.tracks
    assert all(type(value) in (int, float) for value in found.values())


@pytest.mark.parametrize("node", ["Ensembler", "Evaluator"])
def test_the_matrix_is_as_kfps_own_class_writes_it(tmp_path: pathlib.Path, node: str) -> None:
    from kfp import dsl

    split = {"Ensembler": "validation", "Evaluator": "test"}[node]
    rows = predictions()
    part = rows[(rows["model"] == "crnn") & (rows["split"] == split)]
    tracks = part.groupby("track_id").mean(numeric_only=True)
    counts = [[0] * 3 for _ in GENRES]
    for _, track in tracks.iterrows():
        predicted = int(np.argmax([track[f"p_{genre}"] for genre in GENRES]))
        counts[int(track["label"])][predicted] += 1
    own = dsl.ClassificationMetrics()
    own.log_confusion_matrix(["Folk", "Hip-Hop", "Rock\\x07"], counts)
    assert metadata(written(tmp_path, node), "confusion") == own.metadata


def test_a_matrix_of_too_many_genres_is_left_out() -> None:
    many = [f"genre {number}" for number in range(scores.MAX_MATRIX_GENRES + 1)]
    assert scores.confusion_matrix(many, [[0] * len(many)] * len(many)) is None
    assert scores.confusion_matrix(many[:-1], [[0] * len(many)] * len(many)) is not None


def test_the_gates_numbers_and_decision(tmp_path: pathlib.Path) -> None:
    parsed = written(tmp_path, "GenreGate")
    assert metadata(parsed, "metrics") == {
        "blessed": 1, "floor": 0.5, "floor.low": 0.4, "floor.high": 0.6,
    }  # fmt: skip
    assert parsed["parameterValues"] == {"blessed": True}


def test_a_trainings_numbers_are_those_of_the_epoch_that_was_kept(tmp_path: pathlib.Path) -> None:
    assert metadata(written(tmp_path, "Trainer.crnn"), "metrics") == {
        "validation_loss": 1.0, "validation_clip_accuracy": 0.4, "epochs": 3,
        "parameters": 1234, "train_seconds": 5.5,
    }  # fmt: skip


def test_baselines_are_told_of_by_validation(tmp_path: pathlib.Path) -> None:
    found = metadata(written(tmp_path, "BaselineTrainer"), "metrics")
    assert "validation_track_accuracy.svm.low" in found
    assert not [name for name in found if name.startswith("test")]


@pytest.mark.parametrize(
    ("models", "recorded"),
    [
        ("/somewhere/models", "/somewhere/models/17"),
        ("pvc://claim/models", "pvc://claim/models/17"),
        # The launcher would upload to these, and fail; it keeps the URI that Kubeflow chose.
        ("s3://bucket/models", None),
        ("gs://bucket/models", None),
    ],
)
def test_a_pushed_model_has_its_uri_version_and_digest(
    tmp_path: pathlib.Path, models: str, recorded: str | None
) -> None:
    parsed = written(tmp_path, "Pusher", models=models, pushed="17")
    described = {
        "model_uri": f"{models}/17",
        "version": "17",
        "digest": "ab" * 8,
        "architecture": "crnn",
    }
    assert metadata(parsed, "model") == described
    assert parsed["artifacts"]["model"]["artifacts"][0].get("uri") == recorded
    assert json.loads((tmp_path / "deep" / "model").read_text()) == described
    assert parsed["parameterValues"] == {"pushed_version": "17", "model_uri": f"{models}/17"}


def test_a_run_that_pushed_nothing_says_so(tmp_path: pathlib.Path) -> None:
    parsed = written(tmp_path, "Pusher")
    assert metadata(parsed, "model") == {"display_name": "nothing pushed"}
    assert parsed["parameterValues"] == {"pushed_version": "", "model_uri": ""}
    assert not (tmp_path / "deep" / "model").exists()


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
def test_what_the_launcher_would_refuse_is_left_out(value: float | None) -> None:
    output = ExecutorOutput()
    output.set_artifact("metrics", {"accuracy": 0.5, "loss": value})
    assert output.to_json()["artifacts"]["metrics"] == {
        "artifacts": [{"metadata": {"accuracy": 0.5}}]
    }


@pytest.mark.parametrize(
    ("folder", "claim", "uri"),
    [
        ("/genreflow/root/models", "genreflow", "pvc://genreflow/root/models"),
        ("/genreflow-old/models", "genreflow", "/genreflow-old/models"),
        ("/genreflow/root/models", "", "/genreflow/root/models"),
        ("s3://bucket/models", "genreflow", "s3://bucket/models"),
    ],
)
def test_a_folder_of_the_volume_is_named_by_its_claim(folder: str, claim: str, uri: str) -> None:
    assert outputs.cluster_uri(folder, claim, "/genreflow/") == uri


def test_the_launchers_file_is_where_it_says() -> None:
    given = json.dumps({"inputs": {}, "outputs": {"outputFile": "/tmp/x.json"}})
    assert executor_output.output_file(given) == "/tmp/x.json"
    for wrong in ("", "{{$}}", "[]", "{}", '{"outputs": {"outputFile": ""}}'):
        with pytest.raises(UsageError, match="--executor-input"):
            executor_output.output_file(wrong)


def test_nodes_without_results_have_no_outputs() -> None:
    assert outputs.declared("StatisticsGen") == ()
    assert outputs.declared("Report") == ("page",)
    assert outputs.declared("Trainer.vgg16") == ("metrics",)
    assert outputs.declared("Pusher") == ("model", "pushed_version", "model_uri")
    assert outputs.declared("GenreGate") == ("page", "metrics", "blessed")
