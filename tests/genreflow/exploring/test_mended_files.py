"""Consequences of mended labels for the next run."""

from __future__ import annotations

from typing import cast

import pytest

from components.common.errors import SplitError
from components.datasets.settings import SplitSettings
from components.datasets.split.splits import assign_splits
from components.datasets.track import SplitName, Track
from components.examples.tracks import ExampleTrack
from genreflow.exploring.mended_files import empty_parts


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ("JRtvs", []),
        ("JRtv Js", ["Rock has no test song left"]),
        ("JRt Jvs", ["Rock has no validation and no test song left"]),
        ("Jt JRvs", ["Rock has no train song left"]),
        ("JRts", ["No validation song is left"]),
        ("JRtv", ["No test song is left"]),
        ("Jtvs", ["Rock has no train song left"]),
        ("JRvs", ["No train song is left"]),
    ],
)
def test_parts_without_songs_are_named_and_stop_a_run_as_its_split_does(
    parts: str, said: list[str]
) -> None:
    """Capitals are genres, small letters the splits in which each of them has three songs."""
    full = {"J": "Jazz", "R": "Rock", "t": "train", "v": "validation", "s": "test"}
    songs = [
        ExampleTrack(f"{genre}{split}{number}", "", full[genre], "", full[split])
        for part in parts.split()
        for genre in part if genre.isupper()
        for split in part if split.islower()
        for number in range(3)
    ]  # fmt: skip
    found = empty_parts(songs, ["Jazz", "Rock"])
    for part, text in zip(found, said, strict=bool(said)):
        assert part.text.startswith(text)
    tracks = [
        Track(song.track_id, "", song.genre, None, cast("SplitName", song.split)) for song in songs
    ]
    listed = {cast("SplitName", song.split) for song in songs}
    settings = SplitSettings(policy="official")
    stops = any(part.stops for part in found)
    try:
        result = assign_splits(tracks, settings, ["Jazz", "Rock"], listed_splits=listed)
    except SplitError:
        assert stops
    else:
        assert not stops
        assert bool(result.warnings) == bool(found)


def test_a_song_in_several_splits_counts_for_all() -> None:
    songs = [ExampleTrack(genre, "", genre, "", "") for genre in ("Jazz", "Rock")]
    assert empty_parts(songs, ["Jazz", "Rock"]) == []
