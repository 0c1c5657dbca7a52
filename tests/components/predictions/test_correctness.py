"""Ties count as guessing among the tied genres, in any order of the labels."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from components.predictions import correctness, table

GENRES = ["Folk", "Pop", "Rock"]


def _right(probabilities: list[float], label: int) -> float:
    (found,) = correctness.correctness(np.array([probabilities], np.float32), np.array([label]))
    return float(found)


def test_the_highest_probability_alone_is_right() -> None:
    assert _right([0.2, 0.5, 0.3], 1) == 1
    assert _right([0.2, 0.5, 0.3], 2) == 0


def test_a_tie_counts_as_guessing_among_its_genres_wherever_they_stand() -> None:
    for order in itertools.permutations(range(3)):
        values = np.array([0.4, 0.4, 0.2])[list(order)].tolist()
        found = [_right(values, label) for label in range(3)]
        assert found == [0.5 if value == 0.4 else 0 for value in values]
    assert [_right([1 / 3] * 3, label) for label in range(3)] == [pytest.approx(1 / 3)] * 3


def test_a_model_that_says_the_same_of_everything_is_right_as_often_as_chance() -> None:
    labels = np.arange(12) % 3
    found = correctness.correctness(np.full((12, 3), 1 / 3), labels)
    assert found.mean() == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    "votes", [[[2, 3, 0], [3, 1, 1], [2, 3, 0]], [[0, 4, 1], [3, 2, 0], [4, 1, 0]]]
)
def test_what_rounding_leaves_decides_nothing(votes: list[list[int]]) -> None:
    """Seven votes of five neighbours each for Folk and Pop over three clips, and yet their
    means in float32 differ: the one way in the first case, the other way in the second."""
    clips = pd.DataFrame(
        [{"track_id": "t", "artist_id": "", "clip_index": i, "label": 0} for i in range(3)]
    )
    rows = table.make_table("knn", "test", clips, np.array(votes, np.float32) / 5, GENRES)
    means = table.by_track(rows, GENRES)
    assert means["p_Folk"][0] != means["p_Pop"][0]
    for label in (0, 1):
        found = correctness.correctness_by_track(rows.assign(label=label), GENRES)
        assert found["correctness"].tolist() == [0.5]


def test_tracks_are_sorted_and_right_by_their_mean_probabilities() -> None:
    clips = pd.DataFrame(
        [
            {"track_id": t, "artist_id": f"of {t}", "clip_index": i, "label": label}
            for t, label in (("b", 1), ("a", 0))
            for i in range(2)
        ]
    )
    values = np.array([[0.6, 0.4, 0], [0.1, 0.9, 0], [0.45, 0.55, 0], [0.4, 0.6, 0]], np.float32)
    found = correctness.correctness_by_track(
        table.make_table("m", "test", clips, values, GENRES), GENRES
    )
    assert found["track_id"].tolist() == ["a", "b"]
    assert found["artist_id"].tolist() == ["of a", "of b"]
    assert found["correctness"].tolist() == [0, 1]
