"""Tests of the search: its trials, their order, failures, and resuming."""

from __future__ import annotations

import dataclasses
import json
import math
import pathlib
from typing import Any

import pytest

from components.trainer.callbacks import DivergedError, TrainingError
from components.trainer.tuned import Values
from components.tuner.search import TuningError, search
from components.tuner.settings import TuningSettings
from components.tuner.trials import SearchState, Trial, TrialScores, best_of, table_csv

SETTINGS = TuningSettings(
    networks=("ffnn",),
    trials=8,
    learning_rate=(1e-5, 1e-1),
    batch_size=(16, 32, 64),
    dropout=(0.0, 0.8),
    l2=(1e-7, 1e-2),
)
# Drawn by a Gaussian process, one parameter is quick; four take it seconds a trial.
BAYESIAN = TuningSettings(networks=("ffnn",), trials=6, learning_rate=(1e-5, 1e-1))
RANDOM = dataclasses.replace(SETTINGS, algorithm="random")
BOTH = pytest.mark.parametrize("settings", [RANDOM, BAYESIAN], ids=["random", "bayesian"])
GUESSING = math.log(8)


class Toy:
    """Runner and watcher whose loss is lowest at a rate of 1e-3 and a dropout of 0.3."""

    def __init__(self, *, fails_above: float = math.inf, dies_at: int = 0) -> None:
        self.trained: list[int] = []
        self.heard: list[str] = []
        self.begun: list[tuple[int, Values, Trial | None]] = []
        self._fails_above = fails_above
        self._dies_at = dies_at

    def settings(self, values: Values) -> dict[str, float]:
        return {"learning_rate": 0.5, "batch_size": 8, "dropout": 0.0, "l2": 0.0, **values}

    def run(self, number: int, values: Values) -> TrialScores:
        if number == self._dies_at:
            raise KeyboardInterrupt
        self.trained.append(number)
        if values["learning_rate"] > self._fails_above:
            raise DivergedError("the loss became nan")
        loss = 0.2 + math.log10(values["learning_rate"] / 1e-3) ** 2
        loss += abs(values.get("dropout", 0.3) - 0.3)
        return TrialScores(epochs=2, val_loss=loss, val_accuracy=1 / (1 + loss), seconds=1.5)

    def begins(self, number: int, values: Values, best: Trial | None) -> None:
        self.begun.append((number, values, best))

    def note(self, text: str) -> None:
        self.heard.append(text)


def _search(toy: Toy, settings: TuningSettings = RANDOM, path: Any = None) -> list[Trial]:
    return search(settings, toy, guessing_loss=GUESSING, watcher=toy, state=SearchState(path))


@BOTH
def test_the_same_seed_gives_the_same_trials_and_another_seed_others(
    settings: TuningSettings,
) -> None:
    first = _search(Toy(), settings)
    assert [trial.number for trial in first] == list(range(1, settings.trials + 1))
    assert _search(Toy(), settings) == first
    for seed in (1, -1) if settings is BAYESIAN else (1, -1, 2**40):
        other = _search(Toy(), dataclasses.replace(settings, seed=seed))
        shared = {str(t.values) for t in first} & {str(t.values) for t in other}
        assert not shared
    for trial in first:
        assert 1e-5 <= trial.values["learning_rate"] <= 1e-1
        if settings is RANDOM:
            assert trial.values["batch_size"] in (16, 32, 64)
            assert 0 <= trial.values["dropout"] <= 0.8


@BOTH
@pytest.mark.parametrize("dies_at", [1, 2, 6])
def test_a_search_that_was_killed_goes_on_and_ends_as_an_unbroken_one(
    tmp_path: pathlib.Path, settings: TuningSettings, dies_at: int
) -> None:
    unbroken = _search(Toy(fails_above=3e-2), settings)
    path = tmp_path / "state.json"
    with pytest.raises(KeyboardInterrupt):
        _search(Toy(fails_above=3e-2, dies_at=dies_at), settings, path)
    again = Toy(fails_above=3e-2)
    found = _search(again, settings, path)
    assert again.trained == list(range(dies_at, settings.trials + 1))
    assert [dataclasses.replace(t, seconds=0.0) for t in found] == [
        dataclasses.replace(t, seconds=0.0) for t in unbroken
    ]
    assert any("resumes after trial" in text for text in again.heard) == (dies_at > 1)
    # Once more: nothing is left to train.
    last = Toy()
    assert _search(last, settings, path) == found
    assert last.trained == []


def test_the_bayesian_search_gathers_around_what_is_good() -> None:
    trials = _search(Toy(), dataclasses.replace(BAYESIAN, trials=9))
    away = [abs(math.log10(t.values["learning_rate"] / 1e-3)) for t in trials]
    # Two are drawn for each parameter, then it looks where it expects the most.
    assert min(away[2:]) < min(away[:2])
    assert sum(away[-3:]) / 3 < 0.5
    best = best_of(trials)
    assert best is not None
    assert best.val_loss == min(t.val_loss for t in trials if t.val_loss is not None)


def test_a_trial_that_runs_away_failed_and_the_search_goes_on() -> None:
    toy = Toy(fails_above=1e-3)
    trials = _search(toy)
    failed = [t for t in trials if t.outcome == "failed"]
    assert 0 < len(failed) < 8
    for trial in failed:
        assert trial.values["learning_rate"] > 1e-3
        assert trial.val_loss is None
        assert trial.reason == "the loss became nan"
    assert len([text for text in toy.heard if "failed: the loss became nan" in text]) == len(failed)


def test_the_algorithm_hears_of_failures_and_keeps_away() -> None:
    toy = Toy(fails_above=1e-3)
    trials = _search(toy, dataclasses.replace(BAYESIAN, trials=10))
    assert any(trial.outcome == "failed" for trial in trials)
    assert sum(trial.outcome == "failed" for trial in trials[-4:]) <= 1


def test_nothing_but_failures_is_an_error_in_words() -> None:
    with pytest.raises(TuningError, match=r"all 8 trials failed; .*nan; lower .*learning_rate"):
        _search(Toy(fails_above=0.0))


def test_an_error_that_is_not_the_values_fault_ends_the_search() -> None:
    toy = Toy()

    def broken(number: int, values: Values) -> TrialScores:
        raise TrainingError("the train split has no clips")

    toy.run = broken  # type: ignore[method-assign]
    with pytest.raises(TrainingError, match="no clips"):
        _search(toy)


@pytest.mark.parametrize("algorithm", ["random", "bayesian"])
def test_a_space_of_few_settings_is_tried_once_each(algorithm: Any) -> None:
    settings = TuningSettings(
        networks=("ffnn",), trials=6, algorithm=algorithm, batch_size=(8, 16, 32)
    )

    class Sizes(Toy):
        def run(self, number: int, values: Values) -> TrialScores:
            self.trained.append(number)
            return TrialScores(1, 1.0 + values["batch_size"] / 100, 0.5, 1.0)

    toy = Sizes()
    trials = _search(toy, settings)
    assert len(toy.trained) == len({t.values["batch_size"] for t in trials}) <= 3
    best = best_of(trials)
    assert best is not None
    assert best.outcome == "done"
    for trial in trials:
        if trial.outcome == "repeated":
            (same,) = [t for t in trials if t.values == trial.values and t.outcome == "done"]
            assert trial.val_loss == same.val_loss
            assert trial.reason == f"the values of trial {same.number}"
            assert trial.seconds == 0


def test_whoever_watches_hears_each_trial_with_the_best_before_it() -> None:
    toy = Toy()
    trials = _search(toy)
    assert [number for number, _, _ in toy.begun] == list(range(1, 9))
    for number, values, best in toy.begun:
        assert values == trials[number - 1].values
        assert best == best_of(trials[: number - 1])


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-9],
        lambda text: "",
        lambda text: text.replace('"layout": 1', '"layout": 2'),
        lambda text: text.replace('"number": 1', '"number": 2', 1),
        lambda text: text.replace('"outcome": "done"', '"outcome": "failed"', 1),
        lambda text: text.replace('"seconds"', '"hours"'),
        lambda text: json.dumps([1]),
    ],
)
def test_a_damaged_state_is_begun_anew(tmp_path: pathlib.Path, damage: Any) -> None:
    path = tmp_path / "state.json"
    unbroken = _search(Toy(), RANDOM, path)
    path.write_text(damage(path.read_text()))
    again = Toy()
    assert _search(again, RANDOM, path) == unbroken
    assert again.trained == list(range(1, 9))


@pytest.mark.parametrize(
    "change", [{"dropout": (0.7, 0.8)}, {"l2": ()}, {"batch_size": (8, 16)}, {"trials": 7}]
)
def test_a_state_of_another_space_is_not_believed(
    tmp_path: pathlib.Path, change: dict[str, Any]
) -> None:
    path = tmp_path / "state.json"
    _search(Toy(), RANDOM, path)
    other = dataclasses.replace(RANDOM, **change)
    toy = Toy()
    assert _search(toy, other, path) == _search(Toy(), other)
    assert toy.trained == list(range(1, other.trials + 1))


def test_a_full_disk_is_told_and_the_search_goes_on(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    toy = Toy()
    path = tmp_path / "state.json"
    with monkeypatch.context() as patch:
        patch.setattr("components.tuner.trials.os.fsync", full)
        trials = _search(toy, RANDOM, path)
    assert len(trials) == 8
    assert sum("could not be saved" in text and "No space" in text for text in toy.heard) == 8
    assert list(tmp_path.iterdir()) == []


def test_the_table_has_a_row_for_each_trial_and_marks_the_best() -> None:
    trials = _search(Toy(fails_above=1e-3))
    header, *rows = table_csv(trials).splitlines()
    assert header == (
        "trial,learning_rate,batch_size,dropout,l2,epochs,val_loss,val_accuracy,seconds,"
        "outcome,best,reason"
    )
    assert len(rows) == 8
    best = best_of(trials)
    assert best is not None
    marked = [row for row in rows if ",best," in row]
    assert [row.split(",")[0] for row in marked] == [str(best.number)]
    (failed, *_) = [t for t in trials if t.outcome == "failed"]
    row = rows[failed.number - 1].split(",")
    assert row[6:8] == ["", ""]
    assert row[9] == "failed"


def test_of_equal_trials_the_first_is_the_best() -> None:
    same = [Trial(n, {"l2": n / 10}, {}, "done", 1, 0.5, 0.5, 1.0) for n in (1, 2, 3)]
    assert best_of(same) is same[0]
    assert best_of([]) is None
