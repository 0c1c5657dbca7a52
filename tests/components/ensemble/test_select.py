"""The candidate is the best on validation; ties go to the smaller network."""

from __future__ import annotations

import pytest

from components.ensemble.members import choose


def test_the_best_on_validation_is_chosen() -> None:
    assert choose({"a": 0.5, "b": 0.7, "c": 0.6}, {"a": 1, "b": 3, "c": 2}) == "b"


def test_a_tie_goes_to_fewer_parameters_then_to_the_name() -> None:
    assert choose({"a": 0.7, "b": 0.7}, {"a": 10, "b": 9}) == "b"
    assert choose({"b": 0.7, "a": 0.7}, {"a": 9, "b": 9}) == "a"


def test_no_network_is_an_error() -> None:
    with pytest.raises(ValueError, match="no network"):
        choose({}, {})
