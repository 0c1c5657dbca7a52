"""Tests of the check that numbers are probabilities."""

from __future__ import annotations

import numpy as np
import pytest

from components.common.probabilities import are_probabilities


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ([0.25, 0.75], True),
        ([1.0, 0.0], True),
        ([0.5, 0.5009], True),
        ([0.5, 0.4991], True),
        ([0.5, 0.5011], False),
        ([0.5, 0.4989], False),
        ([1.1, -0.1], False),
        ([float("nan"), 1.0], False),
        ([float("inf"), 0.0], False),
        ([float("-inf"), float("inf")], False),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_add_up_to_one_within_a_thousandth_and_are_not_negative(
    row: list[float], expected: bool, dtype: type
) -> None:
    right = [0.5, 0.5]
    found = are_probabilities(np.array([right, row, right], dtype))
    assert found.tolist() == [True, expected, True]


def test_no_rows_have_no_answers() -> None:
    assert are_probabilities(np.zeros((0, 3))).shape == (0,)
