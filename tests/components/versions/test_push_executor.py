"""Tests of the Pusher: what it pushes, and the record that it stores."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest
from tensorflow.core.protobuf import saved_model_pb2
from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.types.standard_artifacts import InfraBlessing, Model, ModelBlessing, PushedModel

from components.artifacts import files
from components.artifacts.types import DataCheckResult, Predictions
from components.common.model_contract import EVALUATION_NODE, TRAINING_STATISTICS
from components.predictions import metrics
from components.versions import labels, rolled_back
from components.versions.executor import Executor
from components.versions.folder import list_versions
from components.versions.record import read_record
from tests.components.versions import made
from tests.support.fake_record import DECISION, GENRES, FakeRecord


def _artifact(kind: Any, folder: pathlib.Path, **properties: int) -> Any:
    folder.mkdir(parents=True, exist_ok=True)
    artifact = kind()
    artifact.uri = str(folder)
    for name, value in properties.items():
        artifact.set_int_custom_property(name, value)
    return artifact


def _graph(constant: str, text: str = "") -> bytes:
    """Return a SavedModel with one constant text in a function."""
    saved = saved_model_pb2.SavedModel()
    function = saved.meta_graphs.add().graph_def.library.function.add()
    node = function.node_def.add(op="Const", name=constant)
    node.attr["value"].tensor.string_val.append(text.encode())
    return bytes(saved.SerializeToString(deterministic=True))


def _push(
    folder: pathlib.Path,
    models: str,
    *,
    gate: bool = True,
    infra: bool | None = True,
    keep: int = 0,
    constant: str = EVALUATION_NODE,
) -> Any:
    """Run the Pusher; return its output artifact."""
    run = folder / "run"
    run.mkdir(exist_ok=True)
    FakeRecord(run)
    (run / "training_statistics.pb").write_bytes(b"statistics")
    candidate = made.saved_model(folder / "model" / "Format-Serving")
    (candidate / "saved_model.pb").write_bytes(_graph(constant))
    served = folder / "infra"
    inputs = {
        "model": [_artifact(Model, folder / "model")],
        "model_blessing": [_artifact(ModelBlessing, run, blessed=int(gate))],
        "predictions": [_artifact(Predictions, run)],
        "data_check": [_artifact(DataCheckResult, run)],
    }
    if infra is not None:
        inputs["infra_blessing"] = [_artifact(InfraBlessing, served, blessed=int(infra))]
        inputs["infra_blessing"][0].set_string_custom_property(
            "blessing_status", "INFRA_BLESSED" if infra else "INFRA_NOT_BLESSED"
        )
        result = {"blessed": infra, "engine": None, "outcome": "passed", "text": "", "checks": []}
        (served / "serving_check.json").write_text(json.dumps(result))
    pushed = _artifact(PushedModel, folder / "pushed")
    Executor(BaseExecutor.Context(pipeline_run_id="run-1")).Do(
        inputs, {"pushed_model": [pushed]}, {"models": models, "keep_versions": keep}
    )
    return pushed


def test_a_blessed_candidate_becomes_a_version_with_its_facts(
    tmp_path: pathlib.Path, models: str
) -> None:
    pushed = _push(tmp_path, models)
    ((number, version),) = list_versions(models).items()
    assert version.is_complete
    assert pushed.get_int_custom_property("pushed") == 1
    assert pushed.get_string_custom_property("pushed_destination") == f"{models}/{number}"
    assert pushed.get_string_custom_property("pushed_version") == str(number)
    assert (pathlib.Path(pushed.uri) / "saved_model.pb").is_file()
    # The next run compares its songs with the archived copy's.
    for place in (version.uri, pushed.uri):
        assert files.read_bytes(f"{place}/{TRAINING_STATISTICS}") == b"statistics"
    record = read_record(version.uri)
    assert record is not None
    assert (record.version, record.run_id) == (number, "run-1")
    assert (record.model, record.digest) == (DECISION["candidate"], DECISION["candidate_digest"])
    rows = FakeRecord(tmp_path / "run").rows
    chosen = rows[(rows["model"] == "crnn") & (rows["split"] == "test")]
    assert record.test == metrics.evaluate(chosen, GENRES).rounded()
    assert record.gate is not None
    assert [rule.id for rule in record.gate.rules] == ["floor", "same_audio"]
    assert record.serving_check is not None
    assert record.serving_check.outcome == "passed"


@pytest.mark.parametrize("constant", [EVALUATION_NODE, "Const"])
def test_a_pushed_model_tells_its_evaluation_unless_an_earlier_version_exported_it(
    tmp_path: pathlib.Path, models: str, constant: str
) -> None:
    pushed = _push(tmp_path, models, constant=constant)
    (version,) = list_versions(models).values()
    record = read_record(version.uri)
    assert record is not None
    told = record.evaluation
    assert told is not None
    assert [rule.id for rule in told.rules] == ["floor", "same_audio"]
    expected = _graph(constant, told.to_text() if constant == EVALUATION_NODE else "")
    for place in (version.uri, pushed.uri):
        assert files.read_bytes(f"{place}/saved_model.pb") == expected
    candidate = tmp_path / "model" / "Format-Serving" / "saved_model.pb"
    assert candidate.read_bytes() == _graph(constant)  # as the gate and ServingCheck saw it


def test_without_a_serving_check_the_record_has_none(tmp_path: pathlib.Path) -> None:
    models = str(tmp_path / "served")
    _push(tmp_path, models, infra=None)
    (version,) = list_versions(models).values()
    record = read_record(version.uri)
    assert record is not None
    assert record.serving_check is None


@pytest.mark.parametrize(("gate", "infra"), [(False, True), (True, False)])
def test_a_candidate_that_one_of_both_refused_is_not_pushed(
    tmp_path: pathlib.Path, gate: bool, infra: bool
) -> None:
    pushed = _push(tmp_path, str(tmp_path / "served"), gate=gate, infra=infra)
    assert pushed.get_int_custom_property("pushed") == 0
    assert not pushed.has_custom_property("pushed_version")
    assert list_versions(str(tmp_path / "served")) == {}


def test_the_model_of_a_version_that_was_rolled_back_from_is_not_pushed_until_that_is_withdrawn(
    tmp_path: pathlib.Path, models: str
) -> None:
    card = tmp_path / "model" / "Format-Serving" / "assets" / "model_card.json"
    card.parent.mkdir(parents=True)
    card.write_text(json.dumps({"model_digest": "d"}))
    model = rolled_back.ModelIdentifiers(digest="d")
    at = "2026-11-30T19:45:00Z"
    rolled_back.add(models, rolled_back.RolledBackVersion(version=7, at=at, model=model))
    pushed = _push(tmp_path, models)
    assert pushed.get_int_custom_property("pushed") == 0
    assert not pushed.has_custom_property("pushed_version")
    said = pushed.get_string_custom_property("push_refused")
    assert "is the model of version 7, which was rolled back on 2026-11-30; to push" in said
    assert list_versions(models) == {}
    rolled_back.withdraw(models, 7)
    assert _push(tmp_path, models).get_int_custom_property("pushed") == 1


def test_old_versions_are_pruned_after_a_push_but_none_with_a_label(
    tmp_path: pathlib.Path, models: str
) -> None:
    for number in (1, 2, 3, 4):
        made.version(models, number)
    labels.set_label(models, 1, "stable")
    pushed = _push(tmp_path, models, keep=2)
    number = int(pushed.get_string_custom_property("pushed_version"))
    assert list(list_versions(models)) == [1, 4, number]
    config = files.read_text(f"{models}/models.config")
    assert f"specific {{ versions: 1 versions: {number} }}" in config
