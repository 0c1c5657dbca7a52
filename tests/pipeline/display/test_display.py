"""What is shown while a run goes on, and the tables at its end."""

from __future__ import annotations

import io
import json
import pathlib
from typing import Any

import jsonschema
import pytest
from rich.console import Console

from components.predictions.metrics import Interval, SplitMetrics
from pipeline.display import progress as display
from pipeline.display import results as results_tables
from pipeline.display import tuning as tuning_table
from pipeline.results.results_file import (
    SCHEMA_FILE,
    SCHEMA_VERSION,
    blessed,
    read_results,
    write_results,
)
from pipeline.work_dir import WorkDir

GENRES = ["Folk", "Ro\x1b[31mck"]


def _metrics(value: float) -> dict[str, Any]:
    interval = Interval(value, value - 0.1, value + 0.1)
    return SplitMetrics(
        interval, interval, interval, {GENRES[0]: 0.75, GENRES[1]: None}, [[3, 1], [0, 0]], 16, 4
    ).to_json()


def _results(**changes: Any) -> dict[str, Any]:
    model = {
        "kind": "network",
        "parameters": 1234567,
        "train_seconds": 61.0,
        "validation": _metrics(0.625),
        "test": _metrics(0.5),
    }
    per_split = {"train": 8, "validation": 4, "test": 4}
    return {
        "schema_version": SCHEMA_VERSION,
        "run_id": "r1",
        "config_digest": "0" * 16,
        "dataset": "fma",
        "genres": GENRES,
        "synthetic": False,
        "leaky": False,
        "audio_hash": "f" * 16,
        "counts": {
            "tracks_listed": 17,
            "tracks_read": 16,
            "tracks_decoded": 16,
            "tracks": per_split,
            "clips": per_split,
            "rejects": {"too_short": 1},
        },
        "models": {
            "ffnn": model,
            "cnn_small": {**model, "parameters": 10},
            "gradient_boosting": {**model, "kind": "baseline", "parameters": None},
            "ensemble_baselines": {
                **model,
                "kind": "ensemble",
                "parameters": None,
                "train_seconds": None,
            },
        },
        "candidate": "cnn_small",
        "best_baseline": "gradient_boosting",
        "ensembles": {"members": {"ensemble_baselines": ["knn", "svm"]}, "weights": {}},
        "test_split_uses": 1,
        "gate": {
            "blessed": True,
            "rules": [
                {"id": "a", "outcome": "pass", "value": 0.5, "interval": [0.4, 0.6], "text": "t"}
            ],
        },
        "pushed_version": "17",
        "nodes": {"Pusher": {"outcome": "done", "seconds": 1.5}},
        **changes,
    }


PASSED: dict[str, Any] = {
    "blessed": True,
    "engine": "genreflow",
    "outcome": "passed",
    "text": "18 requests were answered",
    "checks": [
        {
            "signature": "serving_wav",
            "requests": 3,
            "largest_difference": 3e-7,
            "outcome": "passed",
            "text": "t",
        }
    ],
}


def _served(outcome: str, text: str, *, gate: bool = True) -> dict[str, Any]:
    check = {**PASSED, "outcome": outcome, "blessed": outcome == "passed", "text": text}
    results = _results(serving_check=check)
    return {**results, "gate": {**results["gate"], "blessed": gate}}


@pytest.mark.parametrize(
    ("results", "lines", "pushable"),
    [
        (_served("passed", "all"), ["blessed", "  ✓ a: t", "  ✓ ServingCheck: all"], True),
        (
            _served("failed", "wrong \x1b[31manswer"),
            [
                "blessed by the gate, refused by ServingCheck",
                "  ✓ a: t",
                "  ✗ ServingCheck: wrong \\x1b[31manswer",
            ],
            False,
        ),
        (_served("skipped", "", gate=False), ["not blessed", "  ✓ a: t"], False),
        (
            _served("off", "switched off", gate=True),
            ["blessed", "  ✓ a: t", "  - ServingCheck: switched off"],
            True,
        ),
    ],
)
def test_the_verdict_names_whoever_refused_and_why(
    results: dict[str, Any], lines: list[str], pushable: bool
) -> None:
    console = Console(file=io.StringIO(), width=160)
    for line in results_tables.verdict(results):
        console.print(line, highlight=False, soft_wrap=True)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().splitlines() == lines
    assert blessed(results) is pushable


def test_results_of_earlier_versions_have_no_check_on_a_server() -> None:
    assert blessed(_results())
    assert not blessed(_results(gate={"blessed": False, "rules": []}))


def _printed(results: dict[str, Any]) -> str:
    console = Console(file=io.StringIO(), width=160)
    for table in results_tables.results_tables(results):
        console.print(table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_tables_hold_the_numbers_and_mark_the_candidate() -> None:
    text = _printed(_results())
    assert "cnn_small *" in text
    assert "ffnn *" not in text
    assert "gradient_boosting +" in text
    assert "mean of baselines" in text
    assert "None" not in text
    assert "50.0%" in text
    assert "40 to 60" in text
    assert "62.5%" in text
    assert "1.2M" in text
    assert "left out: too_short" in text
    assert "75%" in text


def test_the_tables_fit_into_eighty_columns_without_cutting_a_word() -> None:
    console = Console(file=io.StringIO(), width=80)
    for table in results_tables.results_tables(_results()):
        console.print(table)
    assert isinstance(console.file, io.StringIO)
    assert "…" not in console.file.getvalue()
    assert "cnn_small *" in console.file.getvalue()


def test_names_of_genres_cannot_act_in_the_terminal() -> None:
    assert "\x1b" not in _printed(_results())


@pytest.mark.parametrize("flag", ["synthetic", "leaky"])
def test_every_table_says_what_its_numbers_are_worth(flag: str) -> None:
    assert _printed(_results(**{flag: True})).count(flag) == 3
    assert flag not in _printed(_results())
    assert any(flag in note for note in results_tables.worth(_results(**{flag: True})))


def test_a_genre_that_nothing_was_measured_of_is_named() -> None:
    notes = results_tables.worth(_results())
    assert [note.split(":")[0] for note in notes] == ["validation", "test"]
    assert all("Ro\\x1b[31mck" in note for note in notes)


def test_a_rate_is_shown_once_it_means_something(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(display.time, "monotonic", lambda: clock[0])
    shown = display.RunDisplay(Console(file=io.StringIO()))
    shown({"event": "node_started", "node": "A", "index": 0, "total": 1})
    shown({"event": "progress", "stage": "audio", "done": 0, "total": 1000})
    clock[0] += 60  # workers start
    shown({"event": "progress", "stage": "audio", "add": 1})
    assert shown._rate() == 0.0
    for _ in range(10):
        clock[0] += 1
        shown({"event": "progress", "stage": "audio", "add": 2})
    assert shown._rate() == pytest.approx(2.0)


def _tuning_event(**changes: Any) -> dict[str, Any]:
    return {
        "event": "tuning",
        "architecture": "ffnn",
        "trial": 3,
        "trials": 12,
        "values": {"learning_rate": 0.00312, "batch_size": 32, "l2": 1.2e-05},
        "best": [2, 1.23456],
        "done": 2400,
        "total": 12000,
        **changes,
    }


def test_a_search_shows_its_trial_the_values_and_the_best_so_far(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [100.0]
    monkeypatch.setattr(display.time, "monotonic", lambda: clock[0])
    console = Console(file=io.StringIO(), width=200)
    shown = display.RunDisplay(console)
    shown({"event": "node_started", "node": "Tuner.ffnn", "index": 6, "total": 13})
    shown(_tuning_event(trial=1, best=None, done=100))
    clock[0] += 20
    shown(_tuning_event())
    shown(_tuning_event(note="trial 3 failed: \x1b[31mthe loss became nan"))
    assert isinstance(console.file, io.StringIO)
    line, note = console.file.getvalue().splitlines()[-2:]
    for words in (
        "[7/13] Tuner.ffnn", "trial 3/12", "2400/12000 clips", "115.0/s, about 83 s left",
        "rate 0.00312", "batch 32", "L2 1.2e-05", "best 1.235 (trial 2)",
    ):  # fmt: skip
        assert words in line
    assert "ffnn: trial 3 failed: \\x1b[31mthe loss" in note


def test_results_are_validated_and_survive_the_file(tmp_path: pathlib.Path) -> None:
    write_results(_results(), str(tmp_path))
    assert read_results(str(tmp_path)) == _results()
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]
    write_results(_results(serving_check=PASSED), str(tmp_path))
    assert read_results(str(tmp_path))["serving_check"] == PASSED


TUNING = {
    "values": {"learning_rate": 0.001, "batch_size": 16},
    "validation_loss": 1.5,
    "validation_clip_accuracy": 0.5,
    "best_trial": 2,
    "trials": 3,
    "failed": 1,
    "algorithm": "random",
    "seconds": 12.5,
}


def _tuned(**changes: Any) -> dict[str, Any]:
    results = _results()
    model = {**results["models"]["ffnn"], "tuning": {**TUNING, **changes}}
    return {**results, "models": {**results["models"], "ffnn": model}}


def test_results_say_what_was_tuned(tmp_path: pathlib.Path) -> None:
    write_results(_tuned(), str(tmp_path))
    for change in ({"values": {}}, {"values": {"epochs": 3}}, {"best_trial": 0}, {"note": ""}):
        with pytest.raises(jsonschema.ValidationError):
            write_results(_tuned(**change), str(tmp_path))


def test_the_table_of_a_search_begins_with_the_best_trials(tmp_path: pathlib.Path) -> None:
    trials = [
        {
            "number": number,
            "values": {"learning_rate": number / 1000, "batch_size": 16},
            "outcome": outcome,
            "epochs": 2,
            "val_loss": None if outcome == "failed" else 2.0 - number / 10,
            "val_accuracy": None if outcome == "failed" else number / 20,
            "seconds": 3.2,
        }
        for number, outcome in enumerate(["done"] * 11 + ["repeated", "failed"], start=1)
    ]
    found = {
        "architecture": "ffnn",
        "values": {"batch_size": 16, "learning_rate": 0.012},
        "best": 12,
        "trials": trials,
    }
    work = WorkDir.at(tmp_path)
    (work.tuning / "ffnn").mkdir(parents=True)
    (work.tuning / "ffnn" / "trials.json").write_text(json.dumps(found))
    (table,) = tuning_table.tuning_tables(_tuned(), work)
    console = Console(file=io.StringIO(), width=80)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert "ffnn: the 10 best of 13 trials, 1 failed" in lines[0]
    for name in ("trial", "rate", "batch", "epochs", "loss", "right"):
        assert name in lines[2]
    assert "dropout" not in lines[2]  # nothing was drawn for it
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines[4:-1]]
    assert [row[0] for row in rows] == ["12 *", "11", "10", "9", "8", "7", "6", "5", "4", "3"]
    assert rows[0][1:] == ["0.012", "16", "repeated", "0.800", "60.0%", "3"]


@pytest.mark.parametrize(
    "change",
    [
        {"pushed_version": "not a number"},
        {"surprise": 1},
        {"candidate": None},
        {"counts": {}},
        {"gate": {"blessed": True, "rules": []}},
        {"serving_check": {**PASSED, "outcome": "perhaps"}},
        {"serving_check": {"outcome": "off"}},
        {"serving_check": {**PASSED, "checks": [{**PASSED["checks"][0], "requests": -1}]}},
    ],
)
def test_results_that_break_the_schema_are_not_written(
    tmp_path: pathlib.Path, change: dict[str, Any]
) -> None:
    with pytest.raises(jsonschema.ValidationError):
        write_results(_results(**change), str(tmp_path))
    assert not list(tmp_path.iterdir())


def test_the_schema_itself_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads(SCHEMA_FILE.read_text()))


def _shown(events: list[dict[str, Any]], *, terminal: bool) -> str:
    console = Console(file=io.StringIO(), width=160, force_terminal=terminal)
    with display.RunDisplay(console) as shown:
        for event in events:
            shown(event)
            if terminal:
                shown._progress.refresh()
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


EVENTS: list[dict[str, Any]] = [
    {"event": "importing"},
    {"event": "node_started", "node": "SpectrogramGen", "index": 0, "total": 2},
    {"event": "progress", "stage": "audio", "done": 0, "total": 40},
    {"event": "progress", "stage": "audio", "add": 30},
    {"event": "tick"},
    {"event": "node_finished", "node": "SpectrogramGen", "outcome": "done", "seconds": 12.34},
    {"event": "node_started", "node": "Trainer.ffnn", "index": 1, "total": 2},
    {
        "event": "training",
        "architecture": "ffnn",
        "phase": "train",
        "epoch": 2,
        "epochs": 3,
        "batch": 5,
        "batches": 10,
        "loss": 1.25,
        "accuracy": 0.5,
    },
    {"event": "node_finished", "node": "Trainer.ffnn", "outcome": "cached", "seconds": 0.1},
    {"event": "an event of a later version"},
]


@pytest.mark.parametrize("terminal", [True, False])
def test_each_node_leaves_a_line_with_its_seconds(terminal: bool) -> None:
    text = _shown(EVENTS, terminal=terminal)
    assert "SpectrogramGen" in text
    assert "12.3 s" in text
    assert "cached" in text


def test_a_bar_counts_what_is_done() -> None:
    text = _shown(EVENTS, terminal=True)
    assert "30/40" in text
    assert "15/30" in text  # batches of all epochs
    assert "train 2/3" in text


def test_without_a_terminal_a_line_now_and_then_replaces_the_bar(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(display, "PLAIN_SECONDS", -1.0)
    text = _shown(EVENTS, terminal=False)
    assert "30/40 tracks" in text
    assert "15/30 batches" in text
