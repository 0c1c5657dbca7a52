"""Tests of where artists are found."""

from __future__ import annotations

import itertools

import pytest

from components.datasets.track import Track
from genreflow.proposal import artists
from genreflow.proposal.artists import find_artists


def _tracks(*paths: str) -> list[Track]:
    return [Track(path, f"/m/{path}", path.split("/")[0]) for path in paths]


NAMED = _tracks(
    *(f"{genre}/{artist} - Song {n}.mp3"
      for genre, artist, n in itertools.product(("Folk", "Rock"), ("Ann", "Bo", "Cy"), (1, 2)))
)  # fmt: skip
PLAIN = _tracks(*(f"{genre}/{n}.mp3" for genre in ("Folk", "Rock") for n in range(6)))


@pytest.mark.parametrize(
    ("name", "artist"),
    [
        ("Nina Simone - Sinnerman", "Nina Simone"),
        ("01 Nina Simone - Sinnerman", "Nina Simone"),
        ("01 - Nina Simone - Sinnerman", "Nina Simone"),
        ("01. Nina Simone - Sinnerman - Live", "Nina Simone"),
        ("10cc - Dreadlock Holiday", "10cc"),
        ("01 - Sinnerman", ""),
        ("Sinnerman", ""),
        ("A-ha song", ""),
        ("-  - x", ""),
        ("Ev\x1bil - Song", ""),
    ],
)
def test_a_name_begins_with_the_artist(name: str, artist: str) -> None:
    assert artists._of_name(f"/m/Jazz/{name}.mp3", "/m") == artist


def test_tags_come_first_then_names_then_folders() -> None:
    tags = {track.uri: f"T{number % 3}" for number, track in enumerate(NAMED)}
    found = find_artists(NAMED, "/m", tags.__getitem__)
    assert found
    assert (found.source, set(found.by_track.values())) == (
        "the tags of the files",
        {"T0", "T1", "T2"},
    )
    found = find_artists(NAMED, "/m", lambda path: "")
    assert found
    assert "ARTIST - TITLE" in found.source
    assert found.by_track["Rock/Bo - Song 2.mp3"] == "Bo"
    below = _tracks(*(f"{g}/{a}/x/{n}.mp3" for g in "FR" for a in "ABC" for n in (1, 2)))
    found = find_artists(below, "/m", None)
    assert found
    assert "GENRE/ARTIST" in found.source
    assert found.by_track["F/B/x/1.mp3"] == "B"


def test_without_enough_of_them_there_are_none() -> None:
    assert find_artists(PLAIN, "/m", None) is None
    assert find_artists([], "/m", None) is None
    # One in four has no artist.
    mixed = NAMED[:9] + PLAIN[:3]
    assert find_artists(mixed, "/m", None) is None
    # Two artists cannot fill three splits.
    two = [one for one in NAMED if "Cy" not in one.track_id]
    assert find_artists(two, "/m", None) is None


def test_one_artist_of_all_in_the_tags_is_no_source_and_unreadable_files_are_skipped() -> None:
    assert find_artists(PLAIN, "/m", lambda path: "Various") is None

    def read(path: str) -> str:
        if path.endswith("/0.mp3"):
            raise PermissionError(13, "no")
        return f"A{path[-5]}"

    found = find_artists(PLAIN, "/m", read)
    assert found
    assert len(found.by_track) == 10


def test_tags_are_tried_on_some_files_before_all_are_read() -> None:
    many = _tracks(*(f"{genre}/{n}.mp3" for genre in ("Folk", "Rock") for n in range(2000)))
    asked: list[str] = []
    assert find_artists(many, "/m", lambda path: asked.append(path) or "") is None
    assert len(asked) == artists.TRIED_FILES
