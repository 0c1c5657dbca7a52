"""Properties of the splits of all datasets, whatever their genres, artists and sizes."""

from __future__ import annotations

import itertools
import random
from collections import Counter, defaultdict

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from components.common.errors import SplitError
from components.datasets.settings import SplitSettings
from components.datasets.split.splits import SplitResult, assign_splits
from components.datasets.track import SPLITS, Track

GENRES = ("a", "b", "c")
POLICIES = ("official", "by_artist", "by_track", "by_clip")


@st.composite
def datasets(draw: st.DrawFn, *, shared_artists: bool = True) -> list[Track]:
    """Draw tracks of up to three genres, by artists of 1 to 12 tracks, some unknown."""
    tracks: list[Track] = []
    genres = GENRES[: draw(st.integers(2, 3))]
    for genre in genres:
        for artist in range(draw(st.integers(0, 12))):
            known = draw(st.integers(0, 4)) > 0
            shared = shared_artists and draw(st.integers(0, 4)) == 0
            name = f"shared{artist}" if shared else f"{genre}{artist}"
            for _ in range(draw(st.integers(1, 12))):
                hint = draw(st.sampled_from([*SPLITS, None]))
                track_id = f"t{len(tracks)}"
                tracks.append(Track(track_id, "/x", genre, name if known else None, hint))
    return tracks


def settings_of(*policies: str) -> st.SearchStrategy[SplitSettings]:
    return st.builds(
        SplitSettings,
        policy=st.sampled_from(policies or POLICIES),
        validation_fraction=st.sampled_from([0.01, 0.1, 0.2, 0.49]),
        test_fraction=st.sampled_from([0.01, 0.1, 0.3, 0.49]),
        seed=st.integers(0, 3),
    )


def split(tracks: list[Track], settings: SplitSettings) -> SplitResult | None:
    genres = sorted({track.genre for track in tracks})
    try:
        return assign_splits(tracks, settings, genres)
    except SplitError:
        return None


@given(datasets(), settings_of(), st.randoms(use_true_random=False))
def test_the_order_of_the_tracks_changes_nothing(
    tracks: list[Track], settings: SplitSettings, rng: random.Random
) -> None:
    shuffled = tracks[:]
    rng.shuffle(shuffled)
    assert split(shuffled, settings) == split(tracks, settings)


@given(datasets(), settings_of())
def test_no_track_has_clips_on_two_sides_unless_the_result_says_that_it_leaks(
    tracks: list[Track], settings: SplitSettings
) -> None:
    result = split(tracks, settings)
    assume(result is not None)
    assert result is not None
    rejected = {reject.track_id for reject in result.rejects}
    sides = {
        track.track_id: {result.split_of_clip(track.track_id, clip) for clip in range(4)}
        for track in tracks
        if track.track_id not in rejected
    }
    assert result.leaky == (settings.policy == "by_clip")
    if not result.leaky:
        assert all(len(found) == 1 for found in sides.values())
        assert set(sides) == set(result.split_of)
        assert set(result.split_of.values()) == set(SPLITS)


def test_by_clip_does_leak() -> None:
    tracks = [Track(f"t{i}", "/x", GENRES[i % 2]) for i in range(40)]
    result = split(tracks, SplitSettings(policy="by_clip", test_fraction=0.3))
    assert result is not None
    leaks = sum(len({result.split_of_clip(t.track_id, c) for c in range(4)}) > 1 for t in tracks)
    assert leaks > 10


@given(datasets(), settings_of("by_artist"))
def test_by_artist_puts_no_artist_on_two_sides(
    tracks: list[Track], settings: SplitSettings
) -> None:
    result = split(tracks, settings)
    assume(result is not None)
    assert result is not None
    sides = defaultdict(set)
    for track in tracks:
        if track.artist_id is not None:
            sides[track.artist_id].add(result.split_of[track.track_id])
    assert all(len(found) == 1 for found in sides.values())


def wanted(tracks: int, fraction: float) -> int:
    """Return a split's target: the fraction rounded half up, from 1 to just under half."""
    rounded = int(fraction * tracks + 0.5)
    return max(1, min(rounded, (tracks - 1) // 2))


@given(datasets(), settings_of("by_track"))
def test_by_track_is_stratified_to_the_track(tracks: list[Track], settings: SplitSettings) -> None:
    result = split(tracks, settings)
    total = Counter(track.genre for track in tracks)
    if result is None:
        assert len(total) < 2 or min(total.values()) < 3
        return
    held = Counter((t.genre, result.split_of[t.track_id]) for t in tracks)
    for genre, n in total.items():
        assert held[genre, "test"] == wanted(n, settings.test_fraction)
        assert held[genre, "validation"] == wanted(n, settings.validation_fraction)
        assert held[genre, "train"] >= 1


@given(datasets(shared_artists=False), settings_of("by_artist"))
def test_by_artist_is_stratified_as_well_as_its_artists_permit(
    tracks: list[Track], settings: SplitSettings
) -> None:
    result = split(tracks, settings)
    artists: dict[str, dict[str, list[Track]]] = defaultdict(lambda: defaultdict(list))
    for track in tracks:
        artists[track.genre][track.artist_id or f"alone {track.track_id}"].append(track)
    if result is None:
        assert len(artists) < 2 or any(len(groups) < 3 for groups in artists.values())
        return
    for groups in artists.values():
        n = sum(len(group) for group in groups.values())
        in_split = defaultdict(list)
        for group in groups.values():
            in_split[result.split_of[group[0].track_id]].append(len(group))
        assert set(in_split) == set(SPLITS)
        for name, fraction, others_need in (
            ("test", settings.test_fraction, 2),
            ("validation", settings.validation_fraction, 1),
        ):
            target, held = wanted(n, fraction), sum(in_split[name])
            left = in_split["train"] + (in_split["validation"] if name == "test" else [])
            if held > target:
                # Unavoidable: one artist, and none of the others is smaller.
                assert len(in_split[name]) == 1
                assert held <= min(left)
            elif held < target and len(left) > others_need:
                assert target - held < min(in_split["train"])


@given(st.lists(st.sets(st.sampled_from(GENRES), min_size=1), min_size=3, max_size=7), st.data())
def test_by_artist_finds_a_split_whenever_there_is_one(
    repertoires: list[set[str]], data: st.DataObject
) -> None:
    """The test tries every assignment of artists with several genres."""
    tracks = [
        Track(f"{artist}{genre}{i}", "/x", genre, f"artist{artist}")
        for artist, repertoire in enumerate(repertoires)
        for genre in sorted(repertoire)
        for i in range(data.draw(st.integers(1, 3)))
    ]
    genres = set().union(*repertoires)
    assume(len(genres) > 1)
    possible = any(
        all(
            set().union(*(r for r, side in zip(repertoires, deal, strict=True) if side == split))
            == genres
            for split in SPLITS
        )
        for deal in itertools.product(SPLITS, repeat=len(repertoires))
    )
    result = split(tracks, SplitSettings(policy="by_artist"))
    assert (result is not None) == possible
    if result is not None:
        held = {(track.genre, result.split_of[track.track_id]) for track in tracks}
        assert len(held) == 3 * len(genres)


def moved(before: SplitResult, after: SplitResult) -> int:
    return sum(after.split_of[track_id] != split for track_id, split in before.split_of.items())


@given(datasets(), settings_of("by_track"), st.integers(1, 10), st.integers(0, 10**6))
def test_by_track_moves_at_most_two_tracks_for_each_one_added(
    tracks: list[Track], settings: SplitSettings, added: int, salt: int
) -> None:
    before = split(tracks, settings)
    assume(before is not None)
    new = [Track(f"new{salt}-{i}", "/x", "a") for i in range(added)]
    assume(any(track.genre == "a" for track in tracks))
    after = split(tracks + new, settings)
    assert before is not None
    assert after is not None
    assert moved(before, after) <= 2 * added
    for track in tracks:
        if track.genre != "a":
            assert after.split_of[track.track_id] == before.split_of[track.track_id]


@given(
    datasets(shared_artists=False),
    settings_of("by_artist"),
    st.integers(1, 10),
    st.integers(0, 10**6),
)
def test_by_artist_moves_few_tracks_for_each_one_added(
    tracks: list[Track], settings: SplitSettings, added: int, salt: int
) -> None:
    """The documented bound is 8 (tracks added + tracks of the largest artist)."""
    before = split(tracks, settings)
    assume(before is not None)
    rng = random.Random(salt)
    artists = sorted({t.artist_id for t in tracks if t.genre == "a" and t.artist_id})
    new = [
        Track(f"new{salt}-{i}", "/x", "a", rng.choice([None, f"new{i % 3}", *artists]))
        for i in range(added)
    ]
    assume(any(track.genre == "a" for track in tracks))
    after = split(tracks + new, settings)
    assert before is not None
    assert after is not None
    sizes = Counter(t.artist_id for t in [*tracks, *new] if t.genre == "a" and t.artist_id)
    largest = max(sizes.values(), default=1)
    assert moved(before, after) <= 8 * (added + largest)
    for track in tracks:
        if track.genre != "a":
            assert after.split_of[track.track_id] == before.split_of[track.track_id]


@pytest.mark.parametrize("policy", ["by_artist", "by_track"])
def test_in_a_dataset_of_usual_size_one_percent_more_tracks_move_under_two_percent(
    policy: str,
) -> None:
    """4,000 tracks, 4 genres, artists of 1 to 8 tracks: what a user sees when adding some."""
    rng = random.Random(5)
    tracks: list[Track] = []
    for genre in "abcd":
        artist = 0
        while sum(track.genre == genre for track in tracks) < 1000:
            artist += 1
            for _ in range(rng.randint(1, 8)):
                tracks.append(Track(f"t{len(tracks)}", "/x", genre, f"{genre}{artist}"))
    new = [Track(f"n{i}", "/x", "abcd"[i % 4], f"n{i // 4}") for i in range(40)]
    settings = SplitSettings(policy=policy)  # type: ignore[arg-type]
    before, after = split(tracks, settings), split(tracks + new, settings)
    assert before is not None
    assert after is not None
    assert moved(before, after) < 80
