"""Tests of the evaluation that a model tells: round trip, bounds, and hostile texts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from components.common.model_evaluation import (
    MAX_BYTES,
    ModelEvaluation,
    ToldRule,
    parse_evaluation,
)

RULES = (ToldRule("floor", "pass", "56.0 % is above 50 %"), ToldRule("same_audio", "off", "naïve"))
EVALUATION = ModelEvaluation(0.56, 0.52, 0.6, 800, True, RULES)


def test_what_is_written_is_read() -> None:
    assert parse_evaluation(EVALUATION.to_text()) == EVALUATION
    assert EVALUATION.to_text() == EVALUATION.to_text()
    assert parse_evaluation("") is None


def test_a_long_text_loses_its_rules_and_stays_readable() -> None:
    many = tuple(ToldRule(f"rule-{index}", "pass", "é" * 1000) for index in range(20))
    long = ModelEvaluation(0.5, 0.4, 0.6, 10, True, many)
    assert len(long.to_text().encode()) <= MAX_BYTES
    read = parse_evaluation(long.to_text())
    assert read == ModelEvaluation(0.5, 0.4, 0.6, 10, True, ())
    wordy = ModelEvaluation(0.5, 0.4, 0.6, 10, True, (ToldRule("a", "pass", "x" * 5000),))
    assert parse_evaluation(wordy.to_text()) is not None


def test_further_keys_are_ignored_and_unprintable_characters_escaped() -> None:
    values = json.loads(EVALUATION.to_text())
    values["later"] = values["gate"]["later"] = {}
    values["gate"]["rules"] = [{"id": "a\x1b[31m", "outcome": "fail", "text": "b\u202e<b>\n"}]
    read = parse_evaluation(json.dumps(values))
    assert read is not None
    assert read.rules == (ToldRule("a\\x1b[31m", "fail", "b\\x202e<b>\\x0a"),)


def _changed(place: str, value: Any) -> str:
    values: Any = json.loads(EVALUATION.to_text())
    *parents, last = place.split(".")
    inner = values
    for key in parents:
        inner = inner[int(key) if key.isdecimal() else key]
    inner[last] = value
    return json.dumps(values)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "null",
        "[" * 10_000,
        "{}",
        json.dumps({"x": "y" * MAX_BYTES}),
        _changed("test", []),
        _changed("test.track_accuracy", 0.5),
        _changed("test.track_accuracy.value", 1.5),
        _changed("test.track_accuracy.value", float("nan")),
        _changed("test.track_accuracy.value", True),
        _changed("test.track_accuracy.value", "0.5"),
        _changed("test.track_accuracy.low", 0.7),
        _changed("test.tracks", 0),
        _changed("test.tracks", 4.5),
        _changed("test.tracks", True),
        _changed("test.tracks", 10**30),
        _changed("gate.blessed", "yes"),
        _changed("gate.rules", {}),
        _changed("gate.rules", [None]),
        _changed("gate.rules", [{"id": "", "outcome": "pass", "text": ""}] * 101),
        _changed("gate.rules.0.id", 7),
        _changed("gate.rules.0.outcome", "maybe"),
        _changed("gate.rules.0.text", "x" * 2001),
    ],
)
def test_what_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]{1,100}$"):
        parse_evaluation(text)
