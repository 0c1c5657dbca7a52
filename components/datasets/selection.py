"""Selection of genres and of tracks (dataset.genres, dataset.max_tracks)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from components.datasets.settings import DatasetSettings
from components.datasets.track import Track, rank


def resolve_genres(settings: DatasetSettings, tracks: Iterable[Track]) -> tuple[str, ...]:
    """Return the genres in label order: `settings.genres`, or else the sorted names found."""
    return settings.genres or tuple(sorted({track.genre for track in tracks}))


def limit_tracks(tracks: Sequence[Track], max_tracks: int) -> list[Track]:
    """Return at most `max_tracks` tracks, with genres as equal in number as possible.

    Tracks are chosen by hash of their ids, so their order does not matter, and a larger
    `max_tracks` adds tracks to a smaller one's. Within a genre, official splits keep their
    proportions.

    Args:
      tracks: the tracks to choose from.
      max_tracks: number of tracks to keep; 0 keeps all.

    Returns:
      The chosen tracks in the order of `tracks`.
    """
    if not max_tracks or len(tracks) <= max_tracks:
        return list(tracks)
    by_genre: dict[str, dict[str, list[Track]]] = defaultdict(lambda: defaultdict(list))
    for track in tracks:
        by_genre[track.genre][track.split_hint or ""].append(track)
    turns: list[tuple[int, str, str]] = []
    for genre, by_hint in by_genre.items():
        for turn, track_id in enumerate(_interleaved(by_hint.values())):
            turns.append((turn, genre, track_id))
    # The first track of each genre, then the second of each, and so on.
    chosen = {track_id for _, _, track_id in sorted(turns)[:max_tracks]}
    return [track for track in tracks if track.track_id in chosen]


def _interleaved(groups: Iterable[list[Track]]) -> list[str]:
    """Return track ids in an order in which each prefix keeps the groups' proportions."""
    places = []
    for group in groups:
        ranked = sorted((rank("max_tracks", track.track_id), track.track_id) for track in group)
        for index, key in enumerate(ranked):
            places.append(((index + 0.5) / len(ranked), key))
    return [track_id for _, (_, track_id) in sorted(places)]
