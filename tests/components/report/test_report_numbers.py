"""Tests of the report's numbers: genre scores, calibration, mistakes and the gallery's choice."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as reference

from components.predictions.table import make_table
from components.report import gallery, measures
from components.report.calibration import reliability
from components.report.gallery import StoredTrack
from components.report.mistakes import confused_pairs, hardest_tracks

GENRES = ("Folk", "Pop", "Rock")


def test_scores_of_genres_are_scikit_learns() -> None:
    rng = np.random.default_rng(3)
    true, predicted = rng.integers(0, 3, 60), rng.integers(0, 3, 60)
    confusion = reference.confusion_matrix(true, predicted).tolist()
    found = measures.genre_scores(confusion, GENRES)
    precision, recall, f1, support = reference.precision_recall_fscore_support(true, predicted)
    assert [score.genre for score in found] == list(GENRES)
    assert [score.precision for score in found] == pytest.approx(precision)
    assert [score.recall for score in found] == pytest.approx(recall)
    assert [score.f1 for score in found] == pytest.approx(f1)
    assert [score.tracks for score in found] == support.tolist()
    assert [score.predicted for score in found] == np.bincount(predicted).tolist()


def test_what_cannot_be_measured_of_a_genre_is_none_not_nought() -> None:
    never_named, without_tracks, absent = measures.genre_scores(
        [[0, 2, 0], [0, 0, 0], [0, 0, 0]], GENRES
    )
    assert (never_named.precision, never_named.recall, never_named.f1) == (None, 0.0, 0.0)
    assert (without_tracks.precision, without_tracks.recall, without_tracks.f1) == (0.0, None, 0.0)
    assert (absent.precision, absent.recall, absent.f1) == (None, None, None)


def test_the_expected_calibration_error_by_hand() -> None:
    # Two bins: three clips given 0.9, of which one is wrong; one given 0.45 that is right.
    p = np.array([[0.9, 0.1, 0.0], [0.9, 0.1, 0.0], [0.1, 0.9, 0.0], [0.45, 0.15, 0.4]])
    found = reliability(p, np.array([0, 0, 2, 0]), bins=2)
    assert found.counts.tolist() == [1, 3]
    assert found.confidence == pytest.approx([0.45, 0.9])
    assert found.accuracy == pytest.approx([1.0, 2 / 3])
    assert found.ece == pytest.approx((1 * 0.55 + 3 * (0.9 - 2 / 3)) / 4)


def test_certain_predictions_fall_into_the_last_bin_and_empty_bins_count_nothing() -> None:
    found = reliability(np.eye(3, dtype=np.float32), np.array([0, 1, 2]))
    assert found.counts.tolist() == [0] * 9 + [3]
    assert np.isnan(found.accuracy[:9]).all()
    assert found.ece == 0.0


def test_probabilities_that_mean_what_they_say_have_a_small_error_and_bold_ones_a_large() -> None:
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(3), 20_000)
    labels = (p.cumsum(axis=1) < rng.random((len(p), 1))).sum(axis=1)
    assert reliability(p, labels).ece < 0.015
    bold = p**4 / (p**4).sum(axis=1, keepdims=True)
    assert reliability(bold, labels).ece > 0.15


def test_confused_pairs_come_by_tracks_then_by_share_without_the_diagonal() -> None:
    confusion = [[5, 2, 0], [2, 0, 1], [0, 0, 7]]
    found = confused_pairs(confusion, GENRES)
    assert [(pair.true, pair.predicted, pair.tracks) for pair in found] == [
        ("Pop", "Folk", 2), ("Folk", "Pop", 2), ("Pop", "Rock", 1),
    ]  # fmt: skip
    assert found[0].share == pytest.approx(2 / 3)
    assert len(confused_pairs(confusion, GENRES, max_pairs=1)) == 1
    assert confused_pairs([[1, 0, 0], [0, 1, 0], [0, 0, 1]], GENRES) == []


def _rows(model: str, p: dict[str, list[list[float]]], labels: dict[str, int]) -> pd.DataFrame:
    clips = pd.DataFrame(
        [(t, f"artist of {t}", clip, labels[t]) for t in p for clip in range(len(p[t]))],
        columns=["track_id", "artist_id", "clip_index", "label"],
    )
    values = np.array([row for rows in p.values() for row in rows], np.float32)
    return make_table(model, "test", clips, values, GENRES)


def test_the_hardest_tracks_have_the_least_probability_of_their_own_genre() -> None:
    labels = {"a": 0, "b": 1, "c": 2}
    ours = {
        "a": [[0.6, 0.4, 0.0], [0.9, 0.1, 0.0]],  # right; 0.75
        "b": [[0.8, 0.1, 0.1], [0.5, 0.4, 0.1]],  # taken for Folk; 0.25
        "c": [[0.3, 0.3, 0.4], [0.3, 0.3, 0.4]],  # right, but only just; 0.4
    }
    others = {
        "good": {t: [[float(i == labels[t]) for i in range(3)]] * 2 for t in labels},
        "bad": {t: [[0.0, 0.0, 1.0]] * 2 for t in labels},
    }
    table = pd.concat(
        [_rows("ours", ours, labels), *(_rows(name, p, labels) for name, p in others.items())]
    )
    hardest, second = hardest_tracks(table, "ours", GENRES, max_tracks=2)
    assert (hardest.track_id, hardest.artist_id) == ("b", "artist of b")
    assert (hardest.true, hardest.predicted, hardest.right) == ("Pop", "Folk", False)
    assert hardest.p_true == pytest.approx(0.25)
    assert hardest.p_predicted == pytest.approx(0.65)
    assert hardest.clip_index == 0  # the clip that gave Pop the least
    assert (hardest.solved_by, hardest.models) == (1, 2)
    assert (second.track_id, second.right, second.solved_by) == ("c", True, 2)
    assert len(hardest_tracks(table, "ours", GENRES)) == 3
    (alone,) = hardest_tracks(_rows("ours", ours, labels), "ours", GENRES, max_tracks=1)
    assert (alone.solved_by, alone.models) == (0, 0)


def _track(track_id: str, artist: str, label: int = 0, split: str = "train") -> StoredTrack:
    return StoredTrack(split, track_id, artist, label, clips=4, first_clip=0, file="f")


def test_the_gallery_shows_three_artists_where_a_genre_has_them() -> None:
    tracks = [_track(f"{artist}{n}", artist) for artist in ("x", "y", "z") for n in range(20)]
    (shown,) = gallery.choose(tracks, 1)
    assert sorted(track.artist_id for track in shown) == ["x", "y", "z"]
    assert gallery.choose(tracks[::-1], 1) == [shown]


def test_artists_come_again_only_where_there_are_too_few() -> None:
    tracks = [_track("a1", "Björk"), _track("a2", "BJO\u0308RK "), _track("b", "y")]
    (shown,) = gallery.choose(tracks, 1)
    assert {track.track_id for track in shown} == {"a1", "a2", "b"}
    assert len({track.artist_id for track in shown[:2]} & {"y"}) == 1


def test_tracks_whose_artist_nobody_knows_are_of_different_artists_and_shown_once() -> None:
    # In a split that leaks, a track is in several splits.
    tracks = [_track("a", ""), _track("a", "", split="test"), _track("b", "")]
    (shown,) = gallery.choose(tracks, 1)
    assert sorted(track.track_id for track in shown) == ["a", "b"]


def test_training_tracks_are_shown_before_others_and_a_genre_may_have_none() -> None:
    tracks = [_track(f"v{n}", f"v{n}", split="validation") for n in range(9)]
    tracks += [_track("t", "t"), _track("u", "u", label=2)]
    shown = gallery.choose(tracks, 3)
    assert shown[0][0].track_id == "t"
    assert [len(of_genre) for of_genre in shown] == [3, 0, 1]


def test_class_counts_are_complete() -> None:
    tracks = [_track("a", ""), _track("b", "", 2), _track("c", "", 2, "test")]
    folk, pop, rock = gallery.class_counts(tracks, GENRES)
    assert folk.tracks == {"train": 1, "validation": 0, "test": 0}
    assert pop.clips == {"train": 0, "validation": 0, "test": 0}
    assert rock.tracks == {"train": 1, "validation": 0, "test": 1}
    assert rock.clips == {"train": 4, "validation": 0, "test": 4}
