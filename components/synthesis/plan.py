"""The plan of a corpus: ids, genres, artists, splits and file formats of its tracks."""

from __future__ import annotations

import dataclasses

import numpy as np

from components.synthesis.styles import STYLES
from components.synthesis.track import generator

GENRES: tuple[str, ...] = tuple(STYLES)
MIN_TRACKS = 2 * len(GENRES)
# Shares of each genre's tracks.
VALIDATION_SHARE = 0.16
TEST_SHARE = 0.24
ARTIST_TRACKS = (2, 4)
# As FMA's, the ids have gaps and spread over several folders of 1,000 ids.
FIRST_TRACK_ID = 2
ID_STEP = 7
# (rate in Hz, channels) of every 20 tracks of a genre; the same for all genres, so that no format
# reveals a genre. As in FMA small most tracks are 44,100 Hz and 5 % are 48,000 Hz. Mono and
# 22,050 Hz are far more common here, because they are fast to encode.
FORMATS = (
    *[(44100, 1)] * 13,
    *[(44100, 2)] * 3,
    *[(22050, 1)] * 3,
    (48000, 2),
)


@dataclasses.dataclass(frozen=True)
class PlannedTrack:
    """Track of the corpus before it is synthesized. `split` has FMA's spelling."""

    track_id: int
    artist_id: int
    genre: str
    split: str
    rate_hz: int
    channels: int


def split_sizes(tracks: int) -> tuple[int, int, int]:
    """Return the numbers of training, validation and test tracks of a genre of 3 or more."""
    validation = max(1, round(VALIDATION_SHARE * tracks))
    test = max(1, round(TEST_SHARE * tracks))
    return tracks - validation - test, validation, test


def _splits_of_genre(tracks: int, turn: int) -> list[str]:
    """Return a split for each track. The second of two tracks alternates by genre."""
    if tracks == 2:
        return ["training", ("test", "validation")[turn % 2]]
    sizes = split_sizes(tracks)
    names = ("training", "validation", "test")
    return [name for name, size in zip(names, sizes, strict=True) for _ in range(size)]


def _artist_sizes(rng: np.random.Generator, tracks: int) -> list[int]:
    """Return random artists' numbers of tracks, 2 to 4 (1 for a single track) each."""
    low, high = ARTIST_TRACKS
    sizes = []
    left = tracks
    while left > high:
        sizes.append(int(rng.integers(low, min(high, left - low) + 1)))
        left -= sizes[-1]
    return [*sizes, left] if left else sizes


def _formats(rng: np.random.Generator, tracks: int) -> list[tuple[int, int]]:
    formats: list[tuple[int, int]] = []
    while len(formats) < tracks:
        formats += [FORMATS[place] for place in rng.permutation(len(FORMATS))]
    return formats[:tracks]


def plan_corpus(tracks: int, seed: int) -> list[PlannedTrack]:
    """Plan the tracks of a corpus, in the order of their ids.

    The genres' numbers of tracks differ by at most one. A genre with at least three tracks is
    in each split (60 / 16 / 24 %). A genre with two has a training track and, alternately, a
    test or a validation track, so that no split is empty. An artist has one genre and is in
    one split.

    Raises:
      ValueError: there are fewer than two tracks per genre.
    """
    if tracks < MIN_TRACKS:
        raise ValueError(
            f"tracks = {tracks}: a synthetic corpus needs at least {MIN_TRACKS} "
            f"(two for each of its {len(GENRES)} genres)"
        )
    rng = generator(seed, "plan")
    rows: list[tuple[str, str, int]] = []
    formats: list[tuple[int, int]] = []
    artist_id = 0
    for turn, genre in enumerate(GENRES):
        count = tracks // len(GENRES) + (turn < tracks % len(GENRES))
        splits = _splits_of_genre(count, turn)
        formats += _formats(rng, count)
        for split in dict.fromkeys(splits):
            for size in _artist_sizes(rng, splits.count(split)):
                artist_id += 1
                rows += [(genre, split, artist_id)] * size
    planned = []
    for place, row in enumerate(rng.permutation(len(rows))):
        genre, split, artist = rows[row]
        rate_hz, channels = formats[row]
        planned.append(
            PlannedTrack(
                track_id=FIRST_TRACK_ID + ID_STEP * place,
                artist_id=artist,
                genre=genre,
                split=split,
                rate_hz=rate_hz,
                channels=channels,
            )
        )
    return planned
