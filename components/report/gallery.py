"""Choice of the clips that the report shows of each genre, and counts. No TensorFlow."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence

from components.datasets.text import artist_key
from components.datasets.track import SPLITS, rank

PER_GENRE = 3


@dataclasses.dataclass(frozen=True)
class StoredTrack:
    """One track of one split, as the examples hold it.

    Attributes:
      split: Split of the track's clips.
      track_id: Id of the track.
      artist_id: "" where it is unknown.
      label: Index of the genre.
      clips: Number of clips.
      first_clip: Lowest index of these clips.
      file: The TFRecord file that holds them.
    """

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
    """Return the tracks to show for each label, of different artists if there are enough.

    Training tracks come before others, as there are more of them. Within a split the choice is
    by hash, so that it does not follow the names' order.
    """
    by_label: list[list[StoredTrack]] = [[] for _ in range(genres)]
    for track in tracks:
        by_label[track.label].append(track)
    return [_of_genre(found, per_genre) for found in by_label]


def _of_genre(tracks: Sequence[StoredTrack], max_tracks: int) -> list[StoredTrack]:
    order = sorted(
        tracks,
        key=lambda track: (SPLITS.index(track.split), rank("gallery", track.track_id)),
    )
    shown: list[StoredTrack] = []
    artists: set[str] = set()
    ids: set[str] = set()
    for again in (False, True):  # an artist twice only where there are too few
        for track in order:
            artist = artist_key(track.artist_id)
            known = bool(artist) and artist in artists
            if len(shown) < max_tracks and track.track_id not in ids and (again or not known):
                shown.append(track)
                artists.add(artist)
                ids.add(track.track_id)
    return shown


@dataclasses.dataclass(frozen=True)
class ClassCount:
    """Numbers of tracks and clips of one genre, by split."""

    genre: str
    tracks: dict[str, int]
    clips: dict[str, int]


def class_counts(tracks: Iterable[StoredTrack], genres: Sequence[str]) -> list[ClassCount]:
    """Count the tracks and clips of each genre in each split; return them in label order."""
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
