"""Differences of macro F1, with their intervals."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from sklearn.metrics import f1_score

from components.predictions.macro_f1 import (
    TrackPredictions,
    f1_share,
    macro_f1,
    paired_f1_difference,
    unpaired_f1_difference,
)
from components.predictions.resampling import paired_difference

GENRES = 4


def _answers(rng: np.random.Generator, true: np.ndarray, share: float) -> TrackPredictions:
    """Right in about this share, else one of the other genres."""
    wrong = (true + rng.integers(1, GENRES, len(true))) % GENRES
    return TrackPredictions(true, np.where(rng.random(len(true)) < share, true, wrong), GENRES)


def _width(interval: object) -> float:
    return interval.high - interval.low  # type: ignore[attr-defined]


def test_the_score_is_the_usual_one_and_leaves_out_genres_that_do_not_occur() -> None:
    rng = np.random.default_rng(0)
    true = rng.integers(0, GENRES, 50)
    answers = _answers(rng, true, 0.6)
    expected = f1_score(true, answers.predicted, average="macro")
    assert macro_f1(answers.counts().sum(axis=0)) == pytest.approx(expected)
    wider = TrackPredictions(true, answers.predicted, GENRES + 3)
    assert macro_f1(wider.counts().sum(axis=0)) == pytest.approx(expected)


def test_the_interval_of_a_score_holds_it_as_often_as_it_promises() -> None:
    rng = np.random.default_rng(5)
    truth, rounds, tracks, held = 0.7, 200, 240, 0
    for _ in range(rounds):
        true = np.tile(np.arange(GENRES), tracks // GENRES)
        found = f1_share(_answers(rng, true, truth), np.arange(tracks), resamples=400)
        held += found.low <= truth <= found.high
    assert 0.91 <= held / rounds <= 0.99


def test_the_interval_of_a_score_resamples_groups() -> None:
    rng = np.random.default_rng(6)
    true = np.tile(np.arange(GENRES), 50)
    artist = np.arange(200) // 20
    of_artist = rng.random(10)[artist] < 0.6
    answers = TrackPredictions(true, np.where(of_artist, true, (true + 1) % GENRES), GENRES)
    by_artist, by_track = f1_share(answers, artist), f1_share(answers, np.arange(200))
    assert by_artist.value == by_track.value
    assert _width(by_artist) > 1.5 * _width(by_track)
    assert f1_share(answers, np.zeros(200)).high == 1


def test_the_value_is_the_difference_of_the_scores() -> None:
    rng = np.random.default_rng(1)
    true = rng.integers(0, GENRES, 60)
    a, b = _answers(rng, true, 0.7), _answers(rng, true, 0.4)
    expected = f1_score(true, a.predicted, average="macro") - f1_score(
        true, b.predicted, average="macro"
    )
    groups = np.arange(60)
    paired = paired_f1_difference(a, b, groups)
    assert paired.value == pytest.approx(expected)
    assert paired.low < expected < paired.high
    assert unpaired_f1_difference(a, groups, b, groups).value == pytest.approx(expected)


def test_intervals_hold_the_true_difference_as_often_as_they_promise() -> None:
    rng = np.random.default_rng(2)
    shares, right = (0.7, 0.55), {"paired": 0, "unpaired": 0}
    # Of genres that are alike, macro F1 of many tracks is the share itself.
    truth, rounds, tracks = shares[0] - shares[1], 200, 240
    true = np.arange(tracks) % GENRES
    groups = np.arange(tracks)
    for _ in range(rounds):
        a, b = (_answers(rng, true, share) for share in shares)
        paired = paired_f1_difference(a, b, groups, resamples=400)
        unpaired = unpaired_f1_difference(a, groups, b, groups, resamples=400)
        right["paired"] += paired.low <= truth <= paired.high
        right["unpaired"] += unpaired.low <= truth <= unpaired.high
    # Three standard deviations of a count of 200 at 95 % are 9.2.
    assert all(181 <= count <= 199 for count in right.values()), right


def test_pairs_take_out_how_hard_the_tracks_are() -> None:
    rng = np.random.default_rng(3)
    true = np.arange(200) % GENRES
    a = _answers(rng, true, 0.6)
    # The second model differs on every twentieth track alone.
    differing = np.where(np.arange(200) % 20 == 0, (a.predicted + 1) % GENRES, a.predicted)
    b = TrackPredictions(true, differing, GENRES)
    groups = np.arange(200)
    assert 2 * _width(paired_f1_difference(a, b, groups)) < _width(
        unpaired_f1_difference(a, groups, b, groups)
    )


def test_tracks_that_stand_and_fall_together_say_less() -> None:
    rng = np.random.default_rng(4)
    true = np.arange(200) % GENRES
    artist = np.arange(200) // 10
    fails = np.repeat(rng.random(20) < 0.5, 10)
    a = TrackPredictions(true, np.where(fails, (true + 1) % GENRES, true), GENRES)
    b = TrackPredictions(true, true, GENRES)
    by_artist = paired_f1_difference(a, b, artist)
    assert _width(by_artist) > 1.5 * _width(paired_f1_difference(a, b, np.arange(200)))


def test_models_that_agree_are_known_to_be_equal_as_surely_as_their_accuracies() -> None:
    """One artist a genre: a resample without it has no track of the genre at all."""
    true = np.repeat(np.arange(GENRES), 10)
    a = _answers(np.random.default_rng(5), true, 0.5)
    same = paired_f1_difference(a, a, true)
    right = (a.true == a.predicted).astype(float)
    assert dataclasses.astuple(same) == pytest.approx(
        dataclasses.astuple(paired_difference(right, right, true))
    )
    assert same.value == 0
    assert same.low < 0 < same.high


def test_the_other_way_round_is_the_mirror_image() -> None:
    rng = np.random.default_rng(6)
    true = np.arange(80) % GENRES
    a, b, groups = _answers(rng, true, 0.6), _answers(rng, true, 0.5), np.arange(80) // 2
    one, other = paired_f1_difference(a, b, groups), paired_f1_difference(b, a, groups)
    assert (one.value, one.low, one.high) == pytest.approx((-other.value, -other.high, -other.low))


def test_a_genre_without_tracks_does_not_pull_the_score_down() -> None:
    true = np.arange(80) % 2
    perfect, other = TrackPredictions(true, true, GENRES), TrackPredictions(true, true, 2)
    found = paired_f1_difference(perfect, other, np.arange(80))
    assert found.low == pytest.approx(-found.high)
    assert found.high < 0.05


def test_one_group_says_nothing_of_others() -> None:
    true = np.arange(8) % GENRES
    a = TrackPredictions(true, true, GENRES)
    found = paired_f1_difference(a, a, np.zeros(8))
    assert (found.low, found.high) == (-1, 1)
    assert unpaired_f1_difference(a, np.zeros(8), a, np.arange(8)).high == 1


@pytest.mark.parametrize("tracks", [0, 3])
def test_groups_that_do_not_fit_are_refused(tracks: int) -> None:
    true = np.arange(tracks)
    with pytest.raises(ValueError, match="groups of shape"):
        paired_f1_difference(
            TrackPredictions(true, true, GENRES),
            TrackPredictions(true, true, GENRES),
            np.arange(tracks - tracks % 2),
        )
