"""Every outcome of each of the gate's rules."""

from __future__ import annotations

import hypothesis
import pytest
from hypothesis import strategies as st

from components.gate import rules
from components.gate.comparison import Comparison
from components.gate.outcome import Decision
from components.gate.settings import GateSettings
from components.predictions.interval import Interval

MEASURED = Interval(0.5, 0.4, 0.6)
HEARD = {"tracks": 64, "groups": 64}


def compared(value: float, low: float, high: float, **changes: int) -> Comparison:
    sizes = {"tracks": 64, "groups": 64, **changes}
    return Comparison("the other", 0.5 + value, 0.5, Interval(value, low, high), **sizes)


@pytest.mark.parametrize(
    ("floor", "outcome"), [(0.0, "off"), (0.25, "pass"), (0.5, "pass"), (0.51, "fail")]
)
def test_the_floor_is_reached_or_not(floor: float, outcome: str) -> None:
    rule = rules.absolute_floor(GateSettings(floor=floor), MEASURED, 8, **HEARD)
    assert (rule.id, rule.outcome) == ("absolute_floor", outcome)
    assert rule.value == 0.5
    assert rule.interval == (0.4, 0.6)
    assert "50.0% of 64 test tracks are correct (95% interval 40.0% to 60.0%)" in rule.text
    shown = "gate.floor = 0" if floor == 0 else f"the floor is {floor:.1%} (gate.floor)"
    assert shown in rule.text


@pytest.mark.parametrize(("genres", "outcome"), [(2, "fail"), (3, "pass")])
def test_a_model_that_guesses_is_refused_whatever_the_floor(genres: int, outcome: str) -> None:
    rule = rules.absolute_floor(GateSettings(floor=0.1), MEASURED, genres, **HEARD)
    assert rule.outcome == outcome
    assert ("guessing reaches" in rule.text) == (outcome == "fail")
    assert "95% interval 40.0% to 60.0%" in rule.text
    assert rule.text.endswith("the floor is 10.0% (gate.floor)")


def test_an_accuracy_says_how_many_artists_its_interval_resamples() -> None:
    rule = rules.absolute_floor(GateSettings(), MEASURED, 8, tracks=64, groups=40)
    assert "of 64 test tracks (40 artists) are correct (95% interval" in rule.text


def test_the_model_that_serves_is_not_pushed_again() -> None:
    assert rules.already_serving("d1", "d1", "17").outcome == "fail"
    assert "17" in rules.already_serving("d1", "d1", "17").text
    assert rules.already_serving("d1", "d2", "17").outcome == "pass"
    assert rules.already_serving("d1", None, "").outcome == "pass"


def test_one_failed_rule_refuses_and_switched_off_rules_do_not() -> None:
    passed = rules.already_serving("a", None, "")
    off = rules.absolute_floor(GateSettings(floor=0.0), MEASURED, 8, **HEARD)
    failed = rules.absolute_floor(GateSettings(floor=0.9), MEASURED, 8, **HEARD)
    assert Decision.of((passed, off)).blessed
    assert not Decision.of((passed, failed)).blessed
    assert Decision.of((passed, failed)).to_json()["rules"][1]["outcome"] == "fail"


@pytest.mark.parametrize(
    ("margin", "low", "outcome", "words"),
    [
        (0.0, 0.001, "pass", "the whole interval is above the margin of +0.0 points"),
        (
            0.0,
            0.0,
            "fail",
            "not the whole interval is above the margin of +0.0 points",
        ),  # at it is not above it
        (0.05, 0.05, "fail", "not the whole interval is above the margin of +5.0 points"),
        (0.05, 0.0501, "pass", "the whole interval is above"),
        (0.05, 1 / 20 + 1e-12, "fail", "not the whole interval"),  # what rounding left
        (0.2, 0.05, "fail", "not above the margin of +20.0 points"),
        (-0.1, -0.0999, "pass", "above the margin of -10.0 points"),
        (-0.1, -0.1, "fail", "margin of -10.0 points"),
    ],
)
def test_the_best_baseline_is_beaten_only_where_the_whole_interval_is_above_the_margin(
    margin: float, low: float, outcome: str, words: str
) -> None:
    rule = rules.beats_baseline(GateSettings(baseline_margin=margin), compared(0.1, low, 0.3))
    assert (rule.id, rule.outcome) == ("beats_baseline", outcome)
    assert (rule.value, rule.interval) == (0.1, (low, 0.3))
    assert words in rule.text


@pytest.mark.parametrize(
    ("value", "outcome"), [(0.1, "pass"), (-0.02, "pass"), (-1 / 50, "pass"), (-0.0201, "fail")]
)
@pytest.mark.parametrize("of", ["ensemble", "serving"])
def test_as_much_worse_as_is_tolerated_is_not_too_much(of: str, value: float, outcome: str) -> None:
    check = rules.holds_ensemble if of == "ensemble" else rules.holds_serving
    settings = GateSettings(**{f"{of}_tolerance": 0.02})  # type: ignore[arg-type]
    rule = check(settings, compared(value, value - 0.3, value + 0.3))
    assert (rule.id, rule.outcome) == (f"holds_{of}", outcome)
    assert f"gate.{of}_tolerance" in rule.text
    assert "a loss of up to 2.0 points" in rule.text


def test_a_comparison_says_its_numbers_and_whose_tracks_they_are() -> None:
    assert str(compared(0.075, -0.012, 0.161)) == (
        "57.5% of 64 test tracks are correct, 50.0% with the other: +7.5 points "
        "(95% interval -1.2 to +16.1)"
    )
    assert "of 64 test tracks (40 artists) are" in str(compared(0, 0, 0, groups=40))


def test_what_cannot_be_compared_with_has_failed_unless_the_rule_is_off() -> None:
    for check, name in (
        (rules.beats_baseline, "beats_baseline"),
        (rules.holds_ensemble, "holds_ensemble"),
        (rules.holds_serving, "holds_serving"),
    ):
        rule = check(GateSettings(), "a reason")  # type: ignore[operator]
        assert (rule.id, rule.outcome, rule.value, rule.interval) == (name, "fail", None, None)
        assert "a reason" in rule.text
        assert f"gate.{name} = false" in rule.text
        off = GateSettings(**{name: False})  # type: ignore[arg-type]
        assert check(off, "a reason").outcome == "off"  # type: ignore[operator]
        rule = check(off, compared(-0.5, -0.9, -0.2))  # type: ignore[operator]
        assert (rule.outcome, rule.value, rule.interval) == ("off", -0.5, (-0.9, -0.2))
        assert f"disabled (gate.{name} = false)" in rule.text
        assert "-50.0 points" in rule.text


def test_nothing_that_serves_yet_holds_nobody_back() -> None:
    rule = rules.holds_serving(GateSettings(), None)
    assert (rule.outcome, rule.text) == ("pass", "no model serves yet")
    assert rules.holds_serving(GateSettings(holds_serving=False), None).outcome == "off"


def recalls(**shares: float | None) -> dict[str, Interval | None]:
    return {g: None if s is None else Interval(s, s / 2, (1 + s) / 2) for g, s in shares.items()}


TRACKS = {"Folk": 10, "Pop": 8, "Rock": 6}


@pytest.mark.parametrize(
    ("pop", "outcome"), [(0.1, "pass"), (0.1 - 1e-12, "pass"), (0.0999, "fail"), (0.0, "fail")]
)
def test_no_genre_may_be_found_less_often_than_its_floor(pop: float, outcome: str) -> None:
    found = recalls(Folk=0.5, Pop=pop, Rock=1.0)
    rule = rules.genre_recall(GateSettings(recall_floor=0.1), found, TRACKS)
    assert (rule.id, rule.outcome) == ("genre_recall", outcome)
    assert (rule.value, rule.interval) == (pop, (pop / 2, (1 + pop) / 2))
    assert "Pop (" in rule.text
    assert "of 8, 95% interval" in rule.text
    assert "10.0%" in rule.text


def test_every_genre_below_its_floor_is_named_the_worst_first() -> None:
    found = recalls(Folk=0.05, Pop=0.0, Rock=1.0)
    text = rules.genre_recall(GateSettings(), found, TRACKS).text
    assert text == (
        "recall is below 10.0% (gate.recall_floor) for "
        "Pop (0.0% of 8, 95% interval 0.0% to 50.0%), "
        "Folk (5.0% of 10, 95% interval 2.5% to 52.5%)"
    )
    many = {f"g{i}": Interval(0.0, 0.0, 0.1) for i in range(9)}
    text = rules.genre_recall(GateSettings(), many, dict.fromkeys(many, 3)).text
    assert text.endswith("g4 (0.0% of 3, 95% interval 0.0% to 10.0%) and 4 more")


def test_a_genre_without_test_tracks_has_failed_as_nothing_is_known_of_it() -> None:
    found = recalls(Folk=0.5, Pop=None, Rock=1.0)
    rule = rules.genre_recall(GateSettings(), found, {**TRACKS, "Pop": 0})
    assert rule.outcome == "fail"
    assert "recall is unknown for Pop, without test tracks" in rule.text
    assert "gate.recall_floor = 0" in rule.text
    off = rules.genre_recall(GateSettings(recall_floor=0.0), found, {**TRACKS, "Pop": 0})
    assert off.outcome == "off"
    assert "gate.recall_floor = 0" in off.text
    nothing = rules.genre_recall(GateSettings(), recalls(Folk=None), {"Folk": 0})
    assert (nothing.outcome, nothing.value, nothing.interval) == ("fail", None, None)


def test_audio_parameters_must_be_known_and_the_same_everywhere() -> None:
    assert rules.audio_hash({"candidate": "a", "examples": "a"}).outcome == "pass"
    for hashes in (
        {"candidate": "a", "examples": "b"},
        {"candidate": "a", "examples": ""},
        {"candidate": "", "examples": ""},
        {},
    ):
        assert rules.audio_hash(hashes).outcome == "fail"
    text = rules.audio_hash({"candidate": "a", "examples": "b", "baselines": ""}).text
    assert "candidate a, examples b, baselines unknown" in text


def test_a_model_that_serves_without_saying_which_it_is_is_another_one() -> None:
    rule = rules.already_serving("d1", "", "17")
    assert rule.outcome == "pass"
    assert "has no readable model digest" in rule.text


def test_names_from_outside_are_shown_inert() -> None:
    evil = "=cmd\x1b]0;owned\x07"
    texts = [
        rules.already_serving("a", "b", evil).text,
        rules.audio_hash({"candidate": evil, "examples": "a"}).text,
        rules.audio_hash({"candidate": evil}).text,
    ]
    for share in (0.0, 0.5, None):
        for floor in (0.0, 0.1):
            found = recalls(**{evil: share})
            rule = rules.genre_recall(GateSettings(recall_floor=floor), found, {evil: 4})
            texts.append(rule.text)
    assert all(text.isprintable() for text in texts)


SHARES = st.floats(-1, 1, allow_nan=False)


@hypothesis.given(SHARES, SHARES, SHARES, SHARES, SHARES)
def test_a_higher_margin_never_blesses_more_nor_a_lower_tolerance(
    value: float, one: float, other: float, first: float, second: float
) -> None:
    low, high = sorted((one, other))
    found = compared(value, min(low, value), max(high, value))
    strict, loose = max(first, second), min(first, second)

    def beats(margin: float) -> bool:
        rule = rules.beats_baseline(GateSettings(baseline_margin=margin), found)
        return rule.outcome == "pass"

    def holds(tolerance: float) -> bool:
        rule = rules.holds_ensemble(GateSettings(ensemble_tolerance=tolerance), found)
        serves = rules.holds_serving(GateSettings(serving_tolerance=tolerance), found)
        assert rule.outcome == serves.outcome
        return rule.outcome == "pass"

    assert beats(strict) <= beats(loose)
    assert holds(min(abs(first), abs(second))) <= holds(max(abs(first), abs(second)))


@hypothesis.given(st.floats(0, 1), st.floats(0.001, 1), st.floats(0.001, 1), st.integers(2, 20))
def test_a_higher_floor_never_blesses_more(
    share: float, one: float, other: float, genres: int
) -> None:
    measured = Interval(share, share / 2, (1 + share) / 2)

    def reaches(floor: float) -> tuple[bool, bool]:
        settings = GateSettings(floor=floor, recall_floor=floor)
        return (
            rules.absolute_floor(settings, measured, genres, **HEARD).outcome == "pass",
            rules.genre_recall(settings, {"Folk": measured}, {"Folk": 9}).outcome == "pass",
        )

    strict, loose = reaches(max(one, other)), reaches(min(one, other))
    assert strict[0] <= loose[0]
    assert strict[1] <= loose[1]
