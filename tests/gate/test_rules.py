"""The gate's rules, each way they can come out."""

from __future__ import annotations

import pathlib

import pytest

from components.errors import DataError
from components.gate import rules
from components.gate.model_digest import read_model_digest
from components.gate.outcome import Decision
from components.gate.settings import GateSettings
from components.predictions.interval import Interval

MEASURED = Interval(0.5, 0.4, 0.6)


@pytest.mark.parametrize(
    ("floor", "outcome"), [(0.0, "off"), (0.25, "pass"), (0.5, "pass"), (0.51, "fail")]
)
def test_the_floor_is_reached_or_not(floor: float, outcome: str) -> None:
    rule = rules.absolute_floor(GateSettings(floor=floor), MEASURED, 8)
    assert (rule.id, rule.outcome) == ("absolute_floor", outcome)
    assert rule.value == 0.5
    assert rule.interval == (0.4, 0.6)
    assert "50.0%" in rule.text


@pytest.mark.parametrize(("genres", "outcome"), [(2, "fail"), (3, "pass")])
def test_a_model_that_guesses_is_refused_whatever_the_floor(genres: int, outcome: str) -> None:
    rule = rules.absolute_floor(GateSettings(floor=0.1), MEASURED, genres)
    assert rule.outcome == outcome
    assert ("guessing" in rule.text) == (outcome == "fail")


def test_the_model_that_serves_is_not_pushed_again() -> None:
    assert rules.already_serving("d1", "d1", "17").outcome == "fail"
    assert "17" in rules.already_serving("d1", "d1", "17").text
    assert rules.already_serving("d1", "d2", "17").outcome == "pass"
    assert rules.already_serving("d1", None, "").outcome == "pass"


def test_one_failed_rule_refuses_and_switched_off_rules_do_not() -> None:
    passed = rules.already_serving("a", None, "")
    off = rules.absolute_floor(GateSettings(floor=0.0), MEASURED, 8)
    failed = rules.absolute_floor(GateSettings(floor=0.9), MEASURED, 8)
    assert Decision((passed, off)).blessed
    assert not Decision((passed, failed)).blessed
    assert Decision((passed, failed)).to_json()["rules"][1]["outcome"] == "fail"


def test_the_digest_comes_from_the_models_card(tmp_path: pathlib.Path) -> None:
    (tmp_path / "assets").mkdir()
    card = tmp_path / "assets" / "model_card.json"
    card.write_text('{"model_digest": "abc"}')
    assert read_model_digest(str(tmp_path)) == "abc"


@pytest.mark.parametrize("content", [None, "no json", "[]", "{}"])
def test_a_folder_without_a_digest_is_no_exported_model(
    tmp_path: pathlib.Path, content: str | None
) -> None:
    (tmp_path / "assets").mkdir()
    if content is not None:
        (tmp_path / "assets" / "model_card.json").write_text(content)
    with pytest.raises(DataError, match="no digest"):
        read_model_digest(str(tmp_path))
