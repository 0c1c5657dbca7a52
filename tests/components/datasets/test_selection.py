from __future__ import annotations

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from components.datasets.selection import limit_tracks, resolve_genres
from components.datasets.settings import DatasetSettings
from components.datasets.track import Track

HINTS = ("train", "train", "train", "train", "validation", "test")


def make(counts: dict[str, int], hints: bool = False) -> list[Track]:
    return [
        Track(f"{genre}{i}", f"/d/{genre}{i}", genre, None, HINTS[i % 6] if hints else None)
        for genre, n in counts.items()
        for i in range(n)
    ]


def test_genres_are_the_sorted_names_found():
    assert resolve_genres(DatasetSettings(), make({"b": 1, "a": 2})) == ("a", "b")


def test_configured_genres_keep_their_order_and_those_without_tracks():
    assert resolve_genres(DatasetSettings(genres=("z", "a")), make({"a": 1})) == ("z", "a")


def test_zero_means_all():
    tracks = make({"a": 3, "b": 1})
    assert limit_tracks(tracks, 0) == tracks
    assert limit_tracks(tracks, 4) == tracks


def test_a_small_genre_gives_all_and_the_others_share_the_rest():
    chosen = limit_tracks(make({"a": 50, "b": 2, "c": 50}), 22)
    assert Counter(track.genre for track in chosen) == {"a": 10, "b": 2, "c": 10}


def test_official_splits_keep_their_proportions():
    chosen = limit_tracks(make({"a": 600, "b": 600}, hints=True), 120)
    per = Counter((track.genre, track.split_hint) for track in chosen)
    for genre in "ab":
        assert per[genre, "train"] == 40
        assert per[genre, "validation"] == 10
        assert per[genre, "test"] == 10


COUNTS = st.dictionaries(st.sampled_from("abcde"), st.integers(1, 20), min_size=1)


@given(COUNTS, st.integers(1, 60), st.randoms(use_true_random=False))
def test_the_choice_is_balanced_and_ignores_the_order(
    counts: dict[str, int], limit: int, rng: random.Random
) -> None:
    tracks = make(counts, hints=True)
    chosen = limit_tracks(tracks, limit)
    assert len(chosen) == min(limit, len(tracks))
    per = Counter(track.genre for track in chosen)
    for genre, n in counts.items():
        # No genre could get one more without taking it from one with as few tracks.
        assert per[genre] == n or per[genre] >= max(per.values()) - 1
    shuffled = tracks[:]
    rng.shuffle(shuffled)
    assert set(limit_tracks(shuffled, limit)) == set(chosen)


@given(COUNTS, st.integers(1, 60), st.integers(0, 20))
def test_a_larger_limit_takes_more_of_the_same(counts: dict[str, int], limit: int, more: int):
    tracks = make(counts)
    assert set(limit_tracks(tracks, limit)) <= set(limit_tracks(tracks, limit + more))
