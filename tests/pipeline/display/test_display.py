"""Tests of the display during a run, and of the tables at its end."""

from __future__ import annotations

import io
import json
import pathlib
import re
from typing import Any

import pytest
from rich.text import Text

from components.artifacts import typed_json
from pipeline.display import progress as display
from pipeline.display import results as results_tables
from pipeline.display import tuning as tuning_table
from pipeline.display.console import PlainConsole
from pipeline.results.schema import Results
from pipeline.work_dir import WorkDir
from tests.pipeline.plain_results import PASSED, plain_results, results_of, tuned_results


def _served(outcome: str, text: str, *, gate: bool = True) -> Results:
    check = {**PASSED, "outcome": outcome, "blessed": outcome == "passed", "text": text}
    decision = {**plain_results()["gate"], "blessed": gate}
    return results_of(serving_check=check, gate=decision)


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
    results: Results, lines: list[str], pushable: bool
) -> None:
    console = PlainConsole(io.StringIO(), width=160)
    for line in results_tables.verdict(results):
        console.say(line)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().splitlines() == lines
    assert results.pushable is pushable


def test_a_refused_push_is_told_after_the_gates_rules() -> None:
    refused = results_of(pushed_version=None, push_refused="the model of version 7")
    assert not refused.pushable
    assert [line.plain for line in results_tables.verdict(refused)] == [
        "blessed by the gate, not pushed",
        "  ✓ a: t",
        "  ✗ Pusher: the model of version 7",
    ]


def test_results_of_earlier_versions_have_no_check_on_a_server() -> None:
    assert results_of().pushable
    assert results_tables.verdict(results_of()) == [
        Text.assemble(("blessed", "green")),
        Text.assemble("  ", ("✓", "green"), " a: t"),
    ]
    refused = {**plain_results()["gate"], "blessed": False}
    assert not results_of(gate=refused).pushable


def _printed(results: Results) -> str:
    console = PlainConsole(io.StringIO(), width=160)
    for table in results_tables.results_tables(results):
        console.print(table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_table_marks_networks_that_start_from_trained_weights() -> None:
    models = plain_results()["models"]
    models["cnn_small"]["pretrained"] = "msd"
    text = _printed(results_of(models=models))
    assert "cnn_small° *" in text
    assert text.count("°") == 1


def test_the_tables_hold_the_numbers_and_mark_the_candidate() -> None:
    text = _printed(results_of())
    assert "cnn_small *" in text
    assert "ffnn *" not in text
    assert "gradient_boosting +" in text
    assert "mean of baselines" in text
    assert "None" not in text
    assert "50.0%" in text
    assert "40 to 60" in text
    assert "62.5%" in text
    assert "1.2M" in text
    assert re.search(r"left out: too_short +│ +1 │ +│", text)
    assert re.search(r"left out: near_silent +│ +│ +3 │", text)
    assert "75%" in text


def test_the_tables_fit_into_eighty_columns_without_cutting_a_word() -> None:
    console = PlainConsole(io.StringIO(), width=80)
    for table in results_tables.results_tables(results_of()):
        console.print(table)
    assert isinstance(console.file, io.StringIO)
    assert "…" not in console.file.getvalue()
    assert "cnn_small *" in console.file.getvalue()


def test_names_of_genres_cannot_act_in_the_terminal() -> None:
    assert "\x1b" not in _printed(results_of())


@pytest.mark.parametrize("flag", ["synthetic", "leaky"])
def test_every_table_says_what_its_numbers_are_worth(flag: str) -> None:
    assert _printed(results_of(**{flag: True})).count(flag) == 3
    assert flag not in _printed(results_of())
    assert any(flag in note for note in results_tables.caveats(results_of(**{flag: True})))


def test_a_genre_that_nothing_was_measured_of_is_named() -> None:
    notes = results_tables.caveats(results_of())
    assert [note.split(":")[0] for note in notes] == ["validation", "test"]
    assert all("Ro\\x1b[31mck" in note for note in notes)


def test_a_rate_is_shown_once_it_means_something(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(display.time, "monotonic", lambda: clock[0])
    shown = display.RunDisplay(PlainConsole(io.StringIO()))
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
    console = PlainConsole(io.StringIO(), width=200)
    shown = display.RunDisplay(console)
    shown({"event": "node_started", "node": "Tuner.ffnn", "index": 6, "total": 13})
    shown(_tuning_event(trial=1, best=None, done=100))
    clock[0] += 20
    shown(_tuning_event())
    shown(_tuning_event(note="trial 3 failed: \x1b[31mthe loss became nan"))
    assert isinstance(console.file, io.StringIO)
    line, note = console.file.getvalue().splitlines()[-2:]
    for words in (
        "[7/13] Tuner.ffnn", "trial 3/12", "2400/12000 clips", "115.0/s, about 83 seconds left",
        "rate 0.00312", "batch 32", "L2 1.2e-05", "best 1.235 (trial 2)",
    ):  # fmt: skip
        assert words in line
    assert "ffnn: trial 3 failed: \\x1b[31mthe loss" in note


def test_the_table_of_a_search_begins_with_the_best_trials(tmp_path: pathlib.Path) -> None:
    trials = [
        {
            "number": number,
            "values": {"learning_rate": number / 1000, "batch_size": 16},
            "settings": {"learning_rate": number / 1000, "batch_size": 16, "dropout": 0, "l2": 0},
            "outcome": outcome,
            "epochs": 2,
            "val_loss": None if outcome == "failed" else 2.0 - number / 10,
            "val_accuracy": None if outcome == "failed" else number / 20,
            "seconds": 3.2,
        }
        for number, outcome in enumerate(["done"] * 11 + ["repeated", "failed"], start=1)
    ]
    found = {
        "schema_version": 1,
        "architecture": "ffnn",
        "objective": "validation loss",
        "algorithm": "random",
        "seed": 0,
        "epochs": 2,
        "space": {},
        "clips": {"train": 100, "validation": 50},
        "seconds": 41.6,
        "versions": {},
        "audio_hash": "",
        "code_digest": "",
        "values": {"batch_size": 16, "learning_rate": 0.012},
        "best": 12,
        "trials": trials,
    }
    work = WorkDir.at(tmp_path)
    (work.tuning / "ffnn").mkdir(parents=True)
    (work.tuning / "ffnn" / "trials.json").write_text(json.dumps(found))
    (table,) = tuning_table.tuning_tables(typed_json.parse(Results, tuned_results()), work)
    console = PlainConsole(io.StringIO(), width=80)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert "ffnn: the 10 best of 13 trials, 1 failed" in lines[0]
    for name in ("trial", "rate", "batch", "epochs", "loss", "accuracy"):
        assert name in lines[2]
    assert "dropout" not in lines[2]  # nothing was drawn for it
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines[4:-1]]
    assert [row[0] for row in rows] == ["12 *", "11", "10", "9", "8", "7", "6", "5", "4", "3"]
    assert rows[0][1:] == ["0.012", "16", "repeated", "0.800", "60.0%", "3"]


def _shown(events: list[dict[str, Any]], *, terminal: bool) -> str:
    console = PlainConsole(io.StringIO(), width=160, terminal=terminal)
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


@pytest.mark.parametrize(
    ("epochs", "terminal", "left"),
    [
        (30, True, "2.5/s  at most 1:56 left"), (30, False, "2.5/s, at most 116 seconds left"),
        (1, True, "finishing"), (60, False, "2.5/s, at most 3.9 minutes left"),
    ],
)  # fmt: skip
def test_training_shows_the_longest_time_that_may_be_left(
    epochs: int, terminal: bool, left: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr(display.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(display, "PLAIN_SECONDS", -1.0)
    first = {**EVENTS[7], "epoch": 1, "epochs": epochs, "batch": 1}
    console = PlainConsole(io.StringIO(), width=160, terminal=terminal)
    with display.RunDisplay(console) as shown:
        shown(EVENTS[6])
        shown(first)
        clock[0] += 3.6
        shown({**first, "batch": 10})
        shown._progress.refresh()
    assert isinstance(console.file, io.StringIO)
    assert left in console.file.getvalue()


def test_work_that_does_not_stop_early_is_not_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(display.time, "monotonic", lambda: clock[0])
    shown = display.RunDisplay(PlainConsole(io.StringIO(), width=160, terminal=True))
    with shown:
        shown(EVENTS[6])
        shown(EVENTS[7])
        shown(EVENTS[1])
        shown({"event": "progress", "stage": "audio", "done": 1, "total": 100})
        clock[0] += 10
        shown({"event": "progress", "stage": "audio", "done": 21})
        shown._progress.refresh()
        text = shown._console.file.getvalue()
    assert "2.0/s  0:40 left" in text
    assert "at most 0:40" not in text
