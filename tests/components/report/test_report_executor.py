"""Tests of the component Report: artifacts in, the page and its plots out."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest
from tfx.types import Artifact, Channel, standard_artifacts

from components.artifacts import types as artifacts
from components.report.component import Report
from components.report.executor import Executor
from components.report.page import templates_digest
from tests.components.report import plausible


def _artifact(kind: type[Artifact], uri: str | pathlib.Path) -> list[Artifact]:
    made = kind()
    made.uri = str(uri)
    return [made]


def _properties(made: plausible.Artifacts) -> dict[str, Any]:
    return {
        "genres": json.dumps(list(made.genres)),
        "audio": json.dumps(made.params.to_json()),
        "data": json.dumps(made.data),
        "code_digest": "",
        "templates_digest": "",
    }


def _inputs(made: plausible.Artifacts) -> dict[str, list[Artifact]]:
    return {
        "predictions": _artifact(artifacts.Predictions, made.folder("predictions")),
        "rejects": _artifact(artifacts.Rejects, made.folder("rejects")),
        "data_check": _artifact(artifacts.DataCheckResult, made.folder("data_check")),
        "blessing": _artifact(standard_artifacts.ModelBlessing, made.folder("blessing")),
        "examples": _artifact(standard_artifacts.Examples, made.folder("examples")),
        "model": _artifact(standard_artifacts.Model, made.folder("model")),
        **{
            f"run_{name}": _artifact(standard_artifacts.ModelRun, uri)
            for name, uri in made.runs.items()
        },
    }


def test_the_executor_writes_the_page_and_its_plots_and_leaves_nothing_of_an_earlier_try(
    tmp_path: pathlib.Path,
) -> None:
    made = plausible.write(
        tmp_path / "in",
        genres=("Folk", "Rock"),
        networks=("crnn",),
        ensembles=(),
        tracks={"train": 1, "validation": 1, "test": 2},
    )
    out = tmp_path / "out"
    (out / "plots").mkdir(parents=True)
    (out / "plots" / "curves_vgg16.png").write_bytes(b"of the attempt that died")
    inputs = _inputs(made)
    inputs["baselines"] = _artifact(artifacts.BaselineModels, made.folder("baselines"))
    Executor().Do(inputs, {"report": _artifact(artifacts.Report, out)}, _properties(made))
    html = (out / "index.html").read_text("utf-8")
    assert "Blessed: crnn may be deployed" in html
    assert "Principal components" in html
    names = {path.name for path in (out / "plots").iterdir()}
    assert {"accuracy.png", "curves_crnn.png", "confusion_svm.png", "pca.png"} <= names
    assert "curves_vgg16.png" not in names
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in (out / "plots").iterdir())


@pytest.mark.parametrize("baselines", [True, False])
def test_the_component_takes_only_what_a_run_has(baselines: bool) -> None:
    from components.audio.params import AudioParams

    data = {"dataset": {"kind": "gtzan"}, "split": {"policy": "by_track"}}
    node = Report(
        predictions=Channel(type=artifacts.Predictions),
        runs={"crnn": Channel(type=standard_artifacts.ModelRun)},
        rejects=Channel(type=artifacts.Rejects),
        data_check=Channel(type=artifacts.DataCheckResult),
        blessing=Channel(type=standard_artifacts.ModelBlessing),
        examples=Channel(type=standard_artifacts.Examples),
        model=Channel(type=standard_artifacts.Model),
        baselines=Channel(type=artifacts.BaselineModels) if baselines else None,
        genres=["Folk", "Rock"],
        audio=AudioParams(),
        data=data,
    )
    assert set(node.inputs) == {
        "predictions", "run_crnn", "rejects", "data_check", "blessing", "examples", "model",
        *(["baselines"] if baselines else []),
    }  # fmt: skip
    assert json.loads(node.exec_properties["data"]) == data
    # TFX's cache sees a change to a template by it.
    assert node.exec_properties["templates_digest"] == templates_digest()
