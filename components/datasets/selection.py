"""Which genres the model learns, and a smaller dataset for a first try."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from components.datasets.settings import DatasetSettings
from components.datasets.track import Track, rank


def resolve_genres(settings: DatasetSettings, tracks: Iterable[Track]) -> tuple[str, ...]:
    """The genres in label order: `settings.genres` where given, else the sorted names found."""
    return settings.genres or tuple(sorted({track.genre for track in tracks}))


def limit_tracks(tracks: Sequence[Track], max_tracks: int) -> list[Track]:
    """At most `max_tracks` tracks (0: all), genres as equal in number as they can be.

    The choice is by hash of the track ids, whatever the order of `tracks`, and a larger
    `max_tracks` takes more of the same. Within a genre the official splits, where there
    are any, keep their proportions. The result keeps the order of `tracks`.
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
    # Each genre gives its first track, then each its second, and so on.
    chosen = {track_id for _, _, track_id in sorted(turns)[:max_tracks]}
    return [track for track in tracks if track.track_id in chosen]


def _interleaved(groups: Iterable[list[Track]]) -> list[str]:
    """Track ids so ordered that each prefix holds every group in about its proportion."""
    places = []
    for group in groups:
        ranked = sorted((rank("max_tracks", track.track_id), track.track_id) for track in group)
        for index, key in enumerate(ranked):
            places.append(((index + 0.5) / len(ranked), key))
    return [track_id for _, (_, track_id) in sorted(places)]
