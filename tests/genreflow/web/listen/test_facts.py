"""Tests of what is known of a version: results stored with it, or by its card alone."""

from __future__ import annotations

import dataclasses
import json
import pathlib

import pytest

from components.common.model_contract import VERSION_RECORD
from components.common.model_evaluation import ModelEvaluation, ToldRule
from components.versions.record import Rollback
from genreflow.web.listen.facts import Evaluation, model_facts, read_evaluation
from serving.model.description import ModelDescription
from tests.components.versions.made import record, version


def _described(card: dict[str, object]) -> ModelDescription:
    return ModelDescription(3, ("Folk", "Rock"), 22050, 44100, "0" * 16, card)


def test_the_results_of_a_pushed_version_are_read(tmp_path: pathlib.Path) -> None:
    version(str(tmp_path), 3)
    expected = Evaluation(
        accuracy=0.75,
        low=0.5,
        high=0.9,
        tracks=4,
        pushed_at="2026-11-30T19:45:00Z",
        run="run-3",
        decision="blessed (rules: 1 pass)",
        rules=(("floor", "pass", "good enough"),),
    )
    assert read_evaluation(tmp_path, 3) == expected
    # One version served by its own folder.
    assert read_evaluation(tmp_path / "3", 3) == expected


def test_a_copy_by_a_rollback_says_so(tmp_path: pathlib.Path) -> None:
    version(str(tmp_path), 3)
    copied = record(3, rollback=Rollback(1, 2, "2026-11-30T20:00:00Z"), test=None, gate=None)
    (tmp_path / "3" / VERSION_RECORD).write_text(copied.to_text())
    found = read_evaluation(tmp_path, 3)
    assert found is not None
    assert (found.copy_of, found.accuracy, found.decision) == (1, None, "")


@pytest.mark.parametrize("text", ["{", "[]", json.dumps({"schema_version": 9})])
def test_a_damaged_record_is_told_and_none_is_none(tmp_path: pathlib.Path, text: str) -> None:
    version(str(tmp_path), 3, recorded=False)
    assert read_evaluation(tmp_path, 3) is None
    (tmp_path / "3" / VERSION_RECORD).write_text(text)
    found = read_evaluation(tmp_path, 3)
    assert found is not None
    assert "delete this file" in found.problem


def test_a_model_tells_its_own_results_where_none_are_stored() -> None:
    rules = (ToldRule("floor", "pass", "good enough"), ToldRule("serving", "off", "no other"))
    told = ModelEvaluation(0.75, 0.5, 0.9, 4, True, rules)
    described = dataclasses.replace(_described({}), evaluation=told)
    assert model_facts(described, None)["evaluation"] == dataclasses.asdict(
        Evaluation(
            accuracy=0.75,
            low=0.5,
            high=0.9,
            tracks=4,
            decision="blessed (rules: 1 off, 1 pass)",
            rules=(("floor", "pass", "good enough"), ("serving", "off", "no other")),
        )
    )
    stored = model_facts(described, Evaluation(accuracy=0.5))["evaluation"]
    assert stored["accuracy"] == 0.5
    strange = dataclasses.replace(_described({}), evaluation_problem="it is invalid")
    assert model_facts(strange, None)["evaluation"]["problem"] == "it is invalid"
    assert model_facts(_described({}), None)["evaluation"] is None


def test_the_data_are_named_in_words() -> None:
    card = {
        "architecture": "crnn",
        "data": {"dataset": {"kind": "fma", "fma_subset": "small"}},
        "train_clips_per_genre": {"Folk": 1200, "Rock": 34},
    }
    facts = model_facts(_described(card), None)
    assert facts["trained_on"] == "Free Music Archive (FMA), subset small: 1,234 clips of 2 genres"
    assert facts["card"]["licence"].startswith("Each track of the Free Music Archive")
    average = model_facts(_described({"architecture": "all", "members": {"a": card}}), None)
    assert average["trained_on"] == facts["trained_on"]
    assert model_facts(_described({}), None)["trained_on"] == ""
    evaluation = Evaluation(accuracy=0.5)
    assert model_facts(_described({}), evaluation)["evaluation"] == json.loads(
        json.dumps(dataclasses.asdict(evaluation), default=list)
    ) | {"rules": ()}
