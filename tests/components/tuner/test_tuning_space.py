"""Tests of a search's space, and of the values that reach a training."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from components.models.network import Defaults
from components.models.settings import ModelSettings
from components.trainer.resolved import resolve
from components.trainer.settings import TrainingSettings
from components.trainer.tuned import TUNABLE, tuned_values, with_tuned_values
from components.tuner.settings import TuningSettings
from components.tuner.space import Space, as_hyperparameters

ALL = TuningSettings(
    networks=("ffnn",),
    learning_rate=(1e-4, 1e-2),
    batch_size=(64, 16, 32),
    dropout=(0.1, 0.6),
    l2=(1e-6, 1e-3),
)


def test_a_space_holds_the_ranges_that_are_given() -> None:
    assert Space.of(ALL).to_json() == {
        "learning_rate": [1e-4, 1e-2],
        "batch_size": [16, 32, 64],
        "dropout": [0.1, 0.6],
        "l2": [1e-6, 1e-3],
    }
    one = TuningSettings(networks=("ffnn",), dropout=(0.0, 0.5))
    assert Space.of(one).names == ("dropout",)
    with pytest.raises(ValueError, match="nothing to choose"):
        Space.of(TuningSettings(networks=("ffnn",)))


def test_rates_and_penalties_are_drawn_on_a_logarithmic_scale() -> None:
    scales = {
        hp.name: getattr(hp, "sampling", None) for hp in Space.of(ALL).hyperparameters().space
    }
    assert scales == {"learning_rate": "log", "batch_size": None, "dropout": "linear", "l2": "log"}


def test_values_have_three_digits_and_stay_within_their_range() -> None:
    space = Space.of(
        TuningSettings(networks=("a",), learning_rate=(0.00123456, 0.0098765), dropout=(0.0, 0.5))
    )
    assert space.rounded({"learning_rate": 0.0045678, "dropout": 0.0}) == {
        "learning_rate": 0.00457,
        "dropout": 0.0,
    }
    # 0.00123 and 0.00988 lie outside.
    assert (
        space.rounded({"learning_rate": 0.0012346, "dropout": 0.0})["learning_rate"] == 0.00123456
    )
    assert space.rounded({"learning_rate": 0.0098764, "dropout": 0.1})["learning_rate"] == 0.0098765


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        ({"learning_rate": (1e-2, 1e-4)}, r"learning_rate = \[0.01, 0.0001\]: is reversed; write"),
        ({"l2": (1e-4,)}, r"l2 = .*must be \[lowest, highest\]"),
        ({"dropout": (0.1, 0.2, 0.3)}, r"must be \[lowest, highest\]"),
        ({"dropout": (0.1, 0.1)}, "leaves nothing to choose"),
        ({"batch_size": (16,)}, "leaves nothing to choose"),
        ({"batch_size": (16, 32, 16)}, "lists a value twice"),
    ],
)
def test_a_range_that_is_none_is_told(ranges: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TuningSettings(networks=("ffnn",), **ranges)


def test_every_bad_range_is_told_at_once() -> None:
    with pytest.raises(ValueError, match=r"batch_size[^\n]*\ndropout[^\n]*\nl2"):
        TuningSettings(dropout=(0.2, 0.1), l2=(0.5,), batch_size=(1, 1))


def test_found_values_win_over_the_training_table_and_the_defaults() -> None:
    space = Space.of(ALL)
    values = {"learning_rate": 0.003, "batch_size": 16, "dropout": 0.25, "l2": 1e-5}
    carried = tuned_values(as_hyperparameters(space, values))
    assert carried == values
    assert isinstance(carried["batch_size"], int)
    training = TrainingSettings(learning_rate=0.1, batch_size=128)
    defaults = Defaults(dropout=0.5, l2=1e-4)
    resolved = resolve(training, with_tuned_values(ModelSettings(epochs=7), carried), defaults)
    assert (resolved.learning_rate, resolved.batch_size) == (0.003, 16)
    assert (resolved.dropout, resolved.l2, resolved.epochs) == (0.25, 1e-5, 7)
    untouched = resolve(training, with_tuned_values(ModelSettings(), {"l2": 0.5}), defaults)
    assert (untouched.learning_rate, untouched.dropout, untouched.l2) == (0.1, 0.5, 0.5)


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"values": {}},
        {"values": {"epochs": 3}},
        {"values": {"batch_size": 16.5}},
        {"values": {"dropout": "0.5"}},
        {"values": {"l2": True}},
    ],
)
def test_hyperparameters_that_no_search_here_finds_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="hyperparameters"):
        tuned_values(bad)
    assert tuned_values(None) == {}


def test_every_tunable_setting_has_a_field_in_both_tables() -> None:
    for settings in (ModelSettings, TuningSettings):
        assert TUNABLE.keys() <= {field.name for field in dataclasses.fields(settings)}
