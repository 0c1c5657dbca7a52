"""FMA's own metadata files for a synthetic corpus (Defferrard et al., arXiv:1612.01840)."""

from __future__ import annotations

import csv
import pathlib
from collections import Counter
from collections.abc import Sequence

from components.synthesis.plan import PlannedTrack
from components.synthesis.styles import GENRE_IDS

# The columns of fma_metadata/tracks.csv, in its order.
COLUMNS: dict[str, tuple[str, ...]] = {
    "album": (
        *("comments", "date_created", "date_released", "engineer", "favorites", "id"),
        *("information", "listens", "producer", "tags", "title", "tracks", "type"),
    ),
    "artist": (
        *("active_year_begin", "active_year_end", "associated_labels", "bio", "comments"),
        *("date_created", "favorites", "id", "latitude", "location", "longitude", "members"),
        *("name", "related_projects", "tags", "website", "wikipedia_page"),
    ),
    "set": ("split", "subset"),
    "track": (
        *("bit_rate", "comments", "composer", "date_created", "date_recorded", "duration"),
        *("favorites", "genre_top", "genres", "genres_all", "information", "interest"),
        *("language_code", "license", "listens", "lyricist", "number", "publisher", "tags"),
        "title",
    ),
}
# A constant date, so that the same corpus has the same bytes.
_DATE = "2024-01-01 00:00:00"


def audio_path(track_id: int) -> str:
    """Return a track's path in FMA small: fma_small/000/000002.mp3."""
    return f"fma_small/{track_id // 1000:03d}/{track_id:06d}.mp3"


def _row(track: PlannedTrack, number: int, seconds: float) -> dict[tuple[str, str], str]:
    genre_id = GENRE_IDS[track.genre]
    return {
        ("album", "comments"): "0",
        ("album", "date_created"): _DATE,
        ("album", "favorites"): "0",
        ("album", "id"): str(track.artist_id),
        ("album", "listens"): "0",
        ("album", "tags"): "[]",
        ("album", "title"): f"Synthetic album {track.artist_id}",
        ("album", "type"): "Album",
        ("artist", "comments"): "0",
        ("artist", "date_created"): _DATE,
        ("artist", "favorites"): "0",
        ("artist", "id"): str(track.artist_id),
        ("artist", "name"): f"Synthetic artist {track.artist_id}",
        ("artist", "tags"): "[]",
        ("set", "split"): track.split,
        ("set", "subset"): "small",
        ("track", "bit_rate"): "0",
        ("track", "comments"): "0",
        ("track", "date_created"): _DATE,
        ("track", "duration"): str(round(seconds)),
        ("track", "favorites"): "0",
        ("track", "genre_top"): track.genre,
        ("track", "genres"): f"[{genre_id}]",
        ("track", "genres_all"): f"[{genre_id}]",
        ("track", "information"): "Synthesized audio, not a recording",
        ("track", "interest"): "0",
        ("track", "license"): "Apache-2.0",
        ("track", "listens"): "0",
        ("track", "number"): str(number),
        ("track", "tags"): "[]",
        ("track", "title"): f"Synthetic {track.genre} {track.track_id}",
    }


def write_tracks_csv(path: pathlib.Path, tracks: Sequence[PlannedTrack], seconds: float) -> None:
    """Write tracks.csv with its three header lines: group, column, and the index's name."""
    columns = [(group, name) for group, names in COLUMNS.items() for name in names]
    numbers: Counter[int] = Counter()
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["", *(group for group, _ in columns)])
        writer.writerow(["", *(name for _, name in columns)])
        writer.writerow(["track_id", *("" for _ in columns)])
        for track in tracks:
            numbers[track.artist_id] += 1
            row = _row(track, numbers[track.artist_id], seconds)
            writer.writerow([track.track_id, *(row.get(column, "") for column in columns)])


def write_genres_csv(path: pathlib.Path, tracks: Sequence[PlannedTrack]) -> None:
    """Write genres.csv: the genres of the corpus, all at the top of FMA's genre tree."""
    counts = Counter(track.genre for track in tracks)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["genre_id", "#tracks", "parent", "title", "top_level"])
        for title, genre_id in sorted(GENRE_IDS.items(), key=lambda item: item[1]):
            writer.writerow([genre_id, counts[title], 0, title, genre_id])
