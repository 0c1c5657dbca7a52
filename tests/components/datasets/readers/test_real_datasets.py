"""The readers on genuine metadata and audio (skipped where GENREFLOW_DATA is not set)."""

from __future__ import annotations

import csv
import os
import pathlib
from collections import Counter

import pytest

from components.datasets.corpus import read_tracks
from components.datasets.selection import resolve_genres
from components.datasets.settings import DatasetSettings, SplitSettings
from components.datasets.split.splits import assign_splits
from components.datasets.track import Track


def read(folder: pathlib.Path, **settings):
    items = list(read_tracks(DatasetSettings(**settings), str(folder)))
    tracks = [item for item in items if isinstance(item, Track)]
    return tracks, [item for item in items if not isinstance(item, Track)]


def fma_rows(folder: pathlib.Path) -> list[list[str]]:
    with open(folder / "fma_metadata" / "tracks.csv", encoding="utf-8", newline="") as stream:
        return list(csv.reader(stream))


def test_fma_small_finds_the_three_mp3s_and_says_that_the_others_are_missing(real_data):
    tracks, rejects = read(real_data / "fma", kind="fma")
    assert [(t.track_id, t.genre, t.split_hint) for t in tracks] == [
        ("2", "Hip-Hop", "train"),
        ("5", "Hip-Hop", "train"),
        ("140", "Folk", "train"),
    ]
    assert tracks[0].artist_id == tracks[1].artist_id == "1"
    rows = fma_rows(real_data / "fma")
    subset = list(zip(rows[0], rows[1], strict=True)).index(("set", "subset"))
    small = sum(row[subset] == "small" for row in rows[3:])
    assert Counter(r.reason for r in rejects) == {"missing_file": small - 3}


def test_every_row_of_the_genuine_metadata_is_understood(real_data, tmp_path):
    """The large subset has all rows, but only three of its files exist."""
    (tmp_path / "fma_metadata").symlink_to(real_data / "fma" / "fma_metadata")
    for number in ("000002", "000005", "000140"):
        path = tmp_path / "fma_large" / "000" / f"{number}.mp3"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    tracks, rejects = read(tmp_path, kind="fma", fma_subset="large")
    rows = fma_rows(real_data / "fma")[3:]
    assert len(tracks) == 3
    assert len(rejects) == len(rows) - 3 > 670
    assert {r.reason for r in rejects} == {"missing_file", "no_genre"}


def test_the_genuine_official_split_is_complete_where_the_files_are(real_data, tmp_path):
    """With files of one byte, the small subset has its official split, without shared artists."""
    (tmp_path / "fma_metadata").symlink_to(real_data / "fma" / "fma_metadata")
    for row in fma_rows(real_data / "fma")[3:]:
        path = tmp_path / "fma_large" / f"{int(row[0]):06d}"[:3] / f"{int(row[0]):06d}.mp3"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    tracks, rejects = read(
        tmp_path, kind="fma", fma_subset="large", genres=("Rock", "Folk", "Experimental", "Hip-Hop")
    )
    assert {r.reason for r in rejects} == {"no_genre", "unknown_genre"}
    genres = resolve_genres(DatasetSettings(genres=("Rock", "Folk", "Experimental", "Hip-Hop")), [])
    official = assign_splits(tracks, SplitSettings(policy="official"), genres)
    assert all("in more than one split" not in warning for warning in official.warnings)
    by_artist = assign_splits(tracks, SplitSettings(policy="by_artist"), genres)
    sides: dict[str | None, set[str]] = {}
    for track in tracks:
        sides.setdefault(track.artist_id, set()).add(by_artist.split_of[track.track_id])
    assert all(len(found) == 1 for found in sides.values())


@pytest.mark.parametrize("kind", ["gtzan", "folder", "manifest"])
def test_gtzan_reads_the_same_by_its_folders_and_by_its_manifest(real_data, kind):
    tracks, rejects = read(real_data / "gtzan", kind=kind)
    assert rejects == []
    assert len(tracks) == 55
    per_genre = Counter(track.genre for track in tracks)
    assert len(per_genre) == 10
    assert set(per_genre.values()) == {5, 6}
    assert tracks[0].track_id == "blues/blues.00000"
    assert all(os.path.isfile(track.uri) for track in tracks)


def test_gtzan_splits_by_track_with_every_genre_in_every_split(real_data):
    tracks, _ = read(real_data / "gtzan", kind="gtzan")
    genres = resolve_genres(DatasetSettings(), tracks)
    result = assign_splits(tracks, SplitSettings(policy="by_track"), genres)
    held = Counter((t.genre, result.split_of[t.track_id]) for t in tracks)
    assert all(held[genre, split] == 1 for genre in genres for split in ("validation", "test"))
