"""Held-out probabilities, and the labels that they contradict."""

from __future__ import annotations

import numpy as np
import pytest

from genreflow.exploring.label_check.confident import label_issues, thresholds
from genreflow.exploring.label_check.features import TrackMeans, clip_features
from genreflow.exploring.label_check.held_out import combined, groups_of, out_of_fold

NAN = float("nan")


def test_a_clips_features_are_its_bands_and_cepstra_over_time() -> None:
    rng = np.random.default_rng(0)
    mel_db = rng.uniform(-80, 0, (3, 32, 10)).astype(np.float32)
    found = clip_features(mel_db)
    assert found.shape == (3, 3 * (32 + 20))
    assert found[1, 5] == pytest.approx(mel_db[1, 5].mean(), rel=1e-5)
    assert found[1, 32 + 5] == pytest.approx(mel_db[1, 5].std(), rel=1e-5)
    assert found[1, 64 + 5] == pytest.approx(np.diff(mel_db[1, 5]).std(), rel=1e-5)
    # The first cepstral coefficient is the bands' mean, but for its scale.
    expected = mel_db[1].sum(axis=0) / np.sqrt(32)
    assert found[1, 96] == pytest.approx(expected.mean(), rel=1e-4)


def test_a_single_frame_has_features_too() -> None:
    assert np.isfinite(clip_features(np.full((1, 32, 1), -3, np.float32))).all()


def test_tracks_have_the_means_of_their_clips_in_any_blocks() -> None:
    means = TrackMeans(3)
    means.add(np.array([0, 2]), np.array([[1, 2], [5, 6]], np.float32))
    means.add(np.array([0]), np.array([[3, 4]], np.float32))
    found = means.means()
    assert found[0].tolist() == [2, 3]
    assert found[2].tolist() == [5, 6]
    assert np.isnan(found[1]).all()


def test_spellings_of_an_artist_are_one_group_and_unknown_artists_are_none() -> None:
    found = groups_of(["a", "b", "c", "d"], ["Björk", " björk", "", ""])
    assert found.tolist() == [0, 0, 1, 2]


def _songs(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return 90 songs of three genres that differ clearly: features, labels, groups of two."""
    rng = np.random.default_rng(seed)
    labels = np.arange(90) % 3
    features = rng.normal(size=(90, 6)).astype(np.float32)
    features[np.arange(90), labels] += 6
    return features, labels, np.arange(90) // 6 * 3 + labels


def test_swapped_labels_are_found_first() -> None:
    features, labels, groups = _songs()
    given = labels.copy()
    swapped = np.array([4, 30, 77])
    given[swapped] = (given[swapped] + 1) % 3
    issues = label_issues(out_of_fold(features, given, groups, 3), given)
    assert {issue.track for issue in issues[:3]} == set(swapped)
    for issue in issues[:3]:
        assert issue.suggested == labels[issue.track]
        assert issue.given == given[issue.track]
        assert issue.sure


def test_a_track_is_judged_without_its_artists_other_tracks() -> None:
    # An artist whose songs all have the same wrong label, and a voice to recognise them by: if
    # some were trained on, they would vouch for the others.
    features, labels, groups = _songs()
    given = labels.copy()
    own = np.flatnonzero(labels == 0)[:8]
    groups[own] = 1000
    features[:, 5] = 0
    features[own, 5] = 5
    given[own] = 1
    found = out_of_fold(features, given, groups, 3)
    assert (found[own].argmax(axis=1) == 0).all()


def test_the_same_input_has_the_same_probabilities() -> None:
    features, labels, groups = _songs()
    first, second = (out_of_fold(features, labels, groups, 3) for _ in range(2))
    assert first.tobytes() == second.tobytes()
    assert np.allclose(first.sum(axis=1), 1, atol=1e-5)


def test_nothing_is_said_of_a_genre_by_one_artist_alone() -> None:
    features, labels, groups = _songs()
    groups[labels == 2] = 1000
    found = out_of_fold(features, labels, groups, 3)
    assert np.isnan(found[labels == 2]).all()
    assert np.isfinite(found[labels != 2]).all()
    assert {issue.given for issue in label_issues(found, labels)} <= {0, 1}


def test_tracks_without_features_and_single_groups_have_no_probabilities() -> None:
    features, labels, groups = _songs()
    features[7] = NAN
    assert np.isnan(out_of_fold(features, labels, groups, 3)[7]).all()
    assert np.isnan(out_of_fold(features, labels, np.zeros(90, np.int64), 3)).all()
    assert np.isnan(out_of_fold(np.full((90, 0), 0, np.float32), labels, groups, 3)).all()


@pytest.mark.parametrize("songs", [0, 1, 2, 3, 5, 6, 7, 12])
def test_few_songs_are_judged_as_far_as_they_can_be(songs: int) -> None:
    features, labels, _ = _songs()
    found = out_of_fold(features[:songs], labels[:songs], np.arange(songs), 3)
    assert found.shape == (songs, 3)
    # Only a genre with another song can be judged.
    known = np.bincount(labels[:songs], minlength=3)[labels[:songs]] > 1
    assert not np.isfinite(found[~known]).any()
    assert np.isfinite(found).any() or songs < 6


def test_a_mean_of_two_sources_is_one_where_the_other_is_missing() -> None:
    first = np.array([[0.2, 0.8], [NAN, NAN], [NAN, NAN]], np.float32)
    second = np.array([[0.4, 0.6], [0.1, 0.9], [NAN, NAN]], np.float32)
    found = combined(first, second)
    assert np.allclose(found[:2], [[0.3, 0.7], [0.1, 0.9]])
    assert np.isnan(found[2]).all()


def test_thresholds_are_mean_self_confidences() -> None:
    rows = np.array([[0.9, 0.1], [0.5, 0.5], [0.4, 0.6], [NAN, NAN]], np.float32)
    found = thresholds(rows, np.array([0, 0, 1, 1]))
    assert found == pytest.approx([0.7, 0.6])
    assert np.isinf(thresholds(rows[:2], np.array([0, 0]))[1])


def test_the_rank_is_the_self_confidence_as_a_share_of_the_genres_threshold() -> None:
    # Genre 0 is predicted with much confidence, genre 1 with little. So 0.25 of genre 0 says more
    # against a label than 0.2 of genre 1.
    rows = np.array(
        [[0.95, 0.05], [0.95, 0.05], [0.25, 0.75], [0.45, 0.55], [0.45, 0.55], [0.8, 0.2]],
        np.float32,
    )
    labels = np.array([0, 0, 0, 1, 1, 1])
    issues = label_issues(rows, labels)
    limits = thresholds(rows, labels)
    assert [(issue.track, issue.suggested) for issue in issues] == [(2, 1), (5, 0)]
    assert issues[0].p_given / limits[0] < issues[1].p_given / limits[1]
    # 0.75 of genre 1 reaches its threshold of 0.43, and 0.8 of genre 0 reaches 0.72.
    assert [issue.sure for issue in issues] == [True, True]


def test_a_contradiction_below_the_threshold_is_not_sure() -> None:
    rows = np.array([[0.9, 0.1], [0.9, 0.1], [0.55, 0.45], [0.1, 0.9]], np.float32)
    (issue,) = label_issues(rows, np.array([0, 0, 1, 1]))
    assert (issue.track, issue.sure) == (2, False)
