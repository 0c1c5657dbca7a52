"""Tests of durations in words."""

from __future__ import annotations

import pytest

from components.common.durations import duration_text


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "1 second"), (0.4, "1 second"), (1.6, "2 seconds"), (6, "6 seconds"),
        (119.4, "119 seconds"), (119.6, "2 minutes"), (186, "3.1 minutes"), (599, "10 minutes"),
        (5000, "83 minutes"), (7140, "119 minutes"), (7199, "2 hours"), (9000, "2.5 hours"),
        (86400 * 5, "120 hours"),
    ],
)  # fmt: skip
def test_a_duration_has_a_unit_that_suits_it(seconds: float, words: str) -> None:
    assert duration_text(seconds) == words
