"""Which clips the report shows of each genre, and how many there are. No TensorFlow."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence

from components.datasets.text import artist_key
from components.datasets.track import SPLITS, rank

PER_GENRE = 3


@dataclasses.dataclass(frozen=True)
class StoredTrack:
    """One track of one split as the examples hold it: `clips` of them in file `file`, the
    first of which is number `first_clip`. `artist_id` is "" where it is unknown."""

    split: str
    track_id: str
    artist_id: str
    label: int
    clips: int
    first_clip: int
    file: str


def choose(
    tracks: Iterable[StoredTrack], genres: int, per_genre: int = PER_GENRE
) -> list[list[StoredTrack]]:
    """For each label the tracks to show: of different artists where there are so many.

    Training tracks come before others, as they are many and their numbers are judged
    nowhere; among them the choice is by hash, so that it does not follow the names' order.
    """
    by_label: list[list[StoredTrack]] = [[] for _ in range(genres)]
    for track in tracks:
        by_label[track.label].append(track)
    return [_of_genre(found, per_genre) for found in by_label]


def _of_genre(tracks: Sequence[StoredTrack], most: int) -> list[StoredTrack]:
    order = sorted(
        tracks,
        key=lambda track: (SPLITS.index(track.split), rank("gallery", track.track_id)),
    )
    shown: list[StoredTrack] = []
    artists: set[str] = set()
    ids: set[str] = set()
    for again in (False, True):  # artists a second time only where there are too few
        for track in order:
            artist = artist_key(track.artist_id)
            known = bool(artist) and artist in artists
            if len(shown) < most and track.track_id not in ids and (again or not known):
                shown.append(track)
                artists.add(artist)
                ids.add(track.track_id)
    return shown


@dataclasses.dataclass(frozen=True)
class ClassCount:
    """Tracks and clips of one genre in each split."""

    genre: str
    tracks: dict[str, int]
    clips: dict[str, int]


def class_counts(tracks: Iterable[StoredTrack], genres: Sequence[str]) -> list[ClassCount]:
    """How much of each genre each split holds, in label order."""
    number: Counter[tuple[int, str]] = Counter()
    clips: Counter[tuple[int, str]] = Counter()
    for track in tracks:
        number[track.label, track.split] += 1
        clips[track.label, track.split] += track.clips
    return [
        ClassCount(
            genre,
            {split: number[label, split] for split in SPLITS},
            {split: clips[label, split] for split in SPLITS},
        )
        for label, genre in enumerate(genres)
    ]
