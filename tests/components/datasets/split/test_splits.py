"""Examples of split policies; test_split_properties.py has properties of all datasets."""

from __future__ import annotations

from collections import Counter

import pytest

from components.common.errors import DatasetError, SplitError
from components.datasets.settings import SplitSettings
from components.datasets.split.splits import assign_splits
from components.datasets.track import SPLITS, Track


def make(counts: dict[str, int], artist=lambda genre, i: None, hint=lambda i: None):
    return [
        Track(f"{genre}-{i}", f"/d/{genre}-{i}", genre, artist(genre, i), hint(i))
        for genre, n in counts.items()
        for i in range(n)
    ]


def sizes(result, tracks, genre):
    per = Counter(result.split_of[t.track_id] for t in tracks if t.genre == genre)
    return tuple(per[split] for split in SPLITS)


class TestByTrack:
    @pytest.mark.parametrize(
        ("n", "expected"),
        [
            (3, (1, 1, 1)),
            (4, (2, 1, 1)),
            (10, (8, 1, 1)),
            (14, (12, 1, 1)),
            (15, (11, 2, 2)),  # 1.5 rounds up
            (1000, (800, 100, 100)),
        ],
    )
    def test_fractions_are_rounded_and_no_split_is_empty(self, n, expected):
        tracks = make({"a": n, "b": 3})
        result = assign_splits(tracks, SplitSettings(policy="by_track"), ("a", "b"))
        assert sizes(result, tracks, "a") == expected
        assert sizes(result, tracks, "b") == (1, 1, 1)
        assert not result.leaky
        assert result.rejects == ()

    def test_fractions_that_round_to_everything_still_leave_some_to_train_on(self):
        tracks = make({"a": 4, "b": 4})
        settings = SplitSettings(policy="by_track", validation_fraction=0.49, test_fraction=0.49)
        assert sizes(assign_splits(tracks, settings, ("a", "b")), tracks, "a") == (2, 1, 1)

    def test_another_seed_gives_another_split(self):
        tracks = make({"a": 50, "b": 50})
        results = [
            assign_splits(tracks, SplitSettings(policy="by_track", seed=seed), ("a", "b")).split_of
            for seed in (0, 1)
        ]
        assert results[0] != results[1]

    def test_the_split_is_the_same_on_every_machine(self):
        """Another order would change all splits, so that runs are no longer comparable."""
        tracks = make({"a": 10, "b": 10})
        result = assign_splits(tracks, SplitSettings(policy="by_track"), ("a", "b"))
        held_out = {k: v for k, v in result.split_of.items() if v != "train"}
        assert held_out == {
            "a-0": "test",
            "a-3": "validation",
            "b-4": "test",
            "b-8": "validation",
        }

    def test_artists_on_both_sides_are_warned_of(self):
        tracks = make({"a": 30, "b": 30}, artist=lambda genre, i: genre)
        result = assign_splits(tracks, SplitSettings(policy="by_track"), ("a", "b"))
        assert len(result.warnings) == 1
        assert result.warnings[0].startswith("2 of 2 artists have tracks in more than one split")

    @pytest.mark.parametrize("n", [1, 2])
    def test_a_genre_too_small_is_an_error_that_names_it_and_what_to_do(self, n):
        with pytest.raises(SplitError) as caught:
            assign_splits(make({"a": 9, "Pop": n}), SplitSettings(policy="by_track"), ("a", "Pop"))
        message = str(caught.value)
        assert f"genre 'Pop' has {n} usable track" in message
        assert "at least 3" in message
        assert "add tracks" in message
        assert "dataset.genres" in message
        assert "'a'" not in message


class TestByArtist:
    def test_artists_stay_together(self):
        tracks = make({"a": 60, "b": 60}, artist=lambda genre, i: f"{genre}{i // 4}")
        result = assign_splits(tracks, SplitSettings(), ("a", "b"))
        sides = {}
        for track in tracks:
            sides.setdefault(track.artist_id, set()).add(result.split_of[track.track_id])
        assert all(len(found) == 1 for found in sides.values())
        # The target is 6: one artist of 4 fits, a second does not.
        assert sizes(result, tracks, "a") == (52, 4, 4)
        assert result.warnings == ()

    def test_a_large_artist_is_trained_on(self):
        tracks = make({"a": 100, "b": 3}, artist=lambda _, i: "big" if i < 60 else f"s{i}")
        tracks = [t for t in tracks if t.genre == "a"] + make({"b": 3})
        result = assign_splits(tracks, SplitSettings(), ("a", "b"))
        assert result.split_of["a-0"] == "train"
        assert sizes(result, tracks, "a") == (80, 10, 10)

    def test_three_artists_of_any_size_fill_three_splits_and_a_warning_says_it_is_lopsided(self):
        tracks = make({"a": 30, "b": 3}, artist=lambda genre, i: f"{genre}{i // 10}-{i % 1}")
        tracks = [t for t in tracks if t.genre == "a"] + make({"b": 3})
        result = assign_splits(tracks, SplitSettings(), ("a", "b"))
        assert sizes(result, tracks, "a") == (10, 10, 10)
        assert result.warnings == (
            "genre 'a': 10 of 30 tracks are in validation instead of 3, because "
            "its artists are few or large",
            "genre 'a': 10 of 30 tracks are in test instead of 3, because "
            "its artists are few or large",
        )

    @pytest.mark.parametrize("artists", [1, 2])
    def test_too_few_artists_is_an_error_that_names_the_genre_and_the_count(self, artists):
        tracks = make({"a": 12}, artist=lambda _, i: str(i % artists)) + make({"b": 9})
        with pytest.raises(SplitError) as caught:
            assign_splits(tracks, SplitSettings(), ("a", "b"))
        message = str(caught.value)
        assert f"genre 'a' (12 tracks) is by {artists} artist" in message
        assert 'split.policy to "by_track"' in message
        assert "dataset.genres" in message

    def test_tracks_without_an_artist_stand_alone(self):
        tracks = make({"a": 10, "b": 10}, artist=lambda _, i: "x" if i < 5 else None)
        result = assign_splits(tracks, SplitSettings(), ("a", "b"))
        assert len({result.split_of[f"{g}-{i}"] for g in "ab" for i in range(5)}) == 1
        assert sizes(result, tracks, "a") == (8, 1, 1)

    def test_an_artist_named_like_a_track_is_not_that_track(self):
        tracks = make({"a": 10, "b": 10}, artist=lambda _, i: "a-1" if i in (2, 3) else None)
        settings = SplitSettings()
        apart = make({"a": 10, "b": 10}, artist=lambda _, i: "other" if i in (2, 3) else None)
        for data in (tracks, apart):
            assert sizes(assign_splits(data, settings, ("a", "b")), data, "a") == (8, 1, 1)

    def test_no_known_artist_is_warned_of(self):
        result = assign_splits(make({"a": 5, "b": 5}), SplitSettings(), ("a", "b"))
        assert len(result.warnings) == 1
        assert result.warnings[0].startswith("no artist is known")

    def test_artists_of_several_genres_leave_every_genre_in_every_split(self):
        """X and Y have genres a and b, Z only a, W only b; taking X and Y first would fail."""
        made = {("X", "a"): 5, ("X", "b"): 1, ("Y", "a"): 5, ("Y", "b"): 1}
        made |= {("Z", "a"): 5, ("W", "b"): 3}
        tracks = [
            Track(f"{artist}{genre}{i}", "/x", genre, artist)
            for (artist, genre), n in made.items()
            for i in range(n)
        ]
        for seed in range(20):
            result = assign_splits(tracks, SplitSettings(seed=seed), ("a", "b"))
            assert all(sizes(result, tracks, "a"))
            assert all(sizes(result, tracks, "b"))

    def test_artists_who_cannot_be_spread_are_an_error_that_says_so(self):
        """No assignment of these artists gives every split all genres."""
        made = {("X", "a"), ("X", "b"), ("Y", "b"), ("Y", "c"), ("Z", "a"), ("Z", "c")}
        made |= {("V", "a"), ("V", "b"), ("V", "c")}
        tracks = [Track(f"{artist}{genre}", "/x", genre, artist) for artist, genre in sorted(made)]
        with pytest.raises(SplitError, match="its artists have tracks of other genres too"):
            assign_splits(tracks, SplitSettings(), ("a", "b", "c"))


class TestOfficial:
    HINTS = ("train", "validation", "test")

    def test_the_datasets_own_split_is_followed(self):
        tracks = make({"a": 6, "b": 6}, hint=lambda i: self.HINTS[i % 3])
        result = assign_splits(tracks, SplitSettings(policy="official"), ("a", "b"))
        assert result.split_of == {t.track_id: t.split_hint for t in tracks}
        assert result.rejects == ()
        assert result.warnings == ()

    def test_tracks_it_does_not_place_are_rejects(self):
        tracks = make({"a": 6, "b": 6}, hint=lambda i: (*self.HINTS, None)[i % 4])
        result = assign_splits(tracks, SplitSettings(policy="official"), ("a", "b"))
        assert [(r.track_id, r.reason) for r in result.rejects] == [
            ("a-3", "no_split"),
            ("b-3", "no_split"),
        ]
        assert "a-3" not in result.split_of
        with pytest.raises(KeyError):
            result.split_of_clip("a-3", 0)

    @pytest.mark.parametrize("absent", HINTS)
    def test_an_empty_split_is_an_error_that_names_another_policy(self, absent):
        tracks = make({"a": 6, "b": 6}, hint=lambda i: self.HINTS[i % 3])
        tracks = [t for t in tracks if t.split_hint != absent]
        with pytest.raises(SplitError, match=f"has no usable track in {absent} .*by_artist"):
            assign_splits(tracks, SplitSettings(policy="official"), ("a", "b"))

    def test_no_official_split_at_all_is_an_error(self):
        with pytest.raises(SplitError, match="the dataset has no official split; set"):
            assign_splits(make({"a": 6, "b": 6}), SplitSettings(policy="official"), ("a", "b"))

    def test_a_genre_with_nothing_to_train_on_is_an_error(self):
        tracks = make({"a": 6}, hint=lambda i: self.HINTS[i % 3])
        tracks += make({"b": 6}, hint=lambda i: "test")
        with pytest.raises(SplitError, match="no training track of 'b'"):
            assign_splits(tracks, SplitSettings(policy="official"), ("a", "b"))

    def test_a_genre_with_nothing_to_test_on_is_a_warning(self):
        tracks = make({"a": 6}, hint=lambda i: self.HINTS[i % 3])
        tracks += make({"b": 6}, hint=lambda i: self.HINTS[i % 2])
        result = assign_splits(tracks, SplitSettings(policy="official"), ("a", "b"))
        assert result.warnings == ("the official split has no test track of 'b'",)

    def test_an_artist_on_both_sides_is_warned_of(self):
        tracks = make({"a": 6, "b": 6}, lambda genre, i: genre, lambda i: self.HINTS[i % 3])
        result = assign_splits(tracks, SplitSettings(policy="official"), ("a", "b"))
        assert "in more than one split" in result.warnings[0]


class TestByClip:
    def test_it_says_that_it_leaks(self):
        result = assign_splits(make({"a": 5, "b": 5}), SplitSettings(policy="by_clip"), ("a", "b"))
        assert result.leaky
        assert result.split_of == {}
        assert len(result.warnings) == 1
        assert "into different splits" in result.warnings[0]

    def test_clips_fall_in_the_fractions_asked_for(self):
        settings = SplitSettings(policy="by_clip", validation_fraction=0.1, test_fraction=0.3)
        result = assign_splits(make({"a": 5, "b": 5}), settings, ("a", "b"))
        drawn = Counter(
            result.split_of_clip(f"t{i}", clip) for i in range(1000) for clip in range(4)
        )
        # 4,000 draws: five standard deviations are at most 145.
        assert abs(drawn["test"] - 1200) < 145
        assert abs(drawn["validation"] - 400) < 145

    def test_the_seed_and_the_fractions_are_part_of_the_label(self):
        tracks = make({"a": 5, "b": 5})
        labels = {
            assign_splits(
                tracks,
                SplitSettings(policy="by_clip", seed=seed, test_fraction=fraction),
                ("a", "b"),
            ).digest_text("a-0")
            for seed in (0, 1)
            for fraction in (0.1, 0.2)
        }
        assert len(labels) == 4


@pytest.mark.parametrize("policy", ["official", "by_artist", "by_track", "by_clip"])
class TestEveryPolicy:
    def test_no_tracks_at_all_is_an_error(self, policy):
        with pytest.raises(SplitError, match="no usable track"):
            assign_splits([], SplitSettings(policy=policy), ())

    def test_one_genre_alone_is_an_error(self, policy):
        with pytest.raises(SplitError, match="only one genre, 'a'"):
            assign_splits(make({"a": 9}), SplitSettings(policy=policy), ("a",))

    def test_a_configured_genre_without_tracks_is_an_error(self, policy):
        hints = ("train", "validation", "test")
        tracks = make({"a": 9, "b": 9}, hint=lambda i: hints[i % 3])
        with pytest.raises(SplitError, match="genre 'c' has 0 usable tracks"):
            assign_splits(tracks, SplitSettings(policy=policy), ("a", "b", "c"))

    def test_an_id_twice_is_the_callers_fault(self, policy):
        tracks = make({"a": 9, "b": 9})
        with pytest.raises(ValueError, match="twice") as caught:
            assign_splits([*tracks, tracks[0]], SplitSettings(policy=policy), ("a", "b"))
        assert not isinstance(caught.value, DatasetError)

    def test_a_genre_that_is_not_listed_is_the_callers_fault(self, policy):
        with pytest.raises(ValueError, match="not in `genres`"):
            assign_splits(make({"a": 9, "b": 9}), SplitSettings(policy=policy), ("a",))


def test_many_problems_are_cut_to_a_readable_number():
    tracks = make({f"g{i:02d}": 1 for i in range(30)})
    with pytest.raises(SplitError) as caught:
        assign_splits(tracks, SplitSettings(), [f"g{i:02d}" for i in range(30)])
    assert "... and 20 more" in str(caught.value)
    assert str(caught.value).count("\n") == 11


def test_a_search_that_finds_nothing_ends():
    """60 artists, 3 of them in the scarce genre z, each of those also the only one of another."""
    tracks = [Track(f"t{i}", "/x", "a", f"A{i}") for i in range(57)]
    for i, (own, count) in enumerate({"p": 3, "q": 3, "r": 3}.items()):
        tracks += [Track(f"z{i}{k}", "/x", g, f"Z{i}") for k, g in enumerate(["z", own])]
        # The scarce genres share their other two artists.
        tracks += [Track(f"{own}{k}", "/x", own, f"Y{k}") for k in range(count - 1)]
    genres = ("a", "p", "q", "r", "z")
    with pytest.raises(SplitError, match="no assignment of artists was found"):
        assign_splits(tracks, SplitSettings(), genres)
