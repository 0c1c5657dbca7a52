"""Filling one split with whole groups of tracks, genre by genre as full as asked for."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping, Sequence


@dataclasses.dataclass(frozen=True)
class Group:
    """Tracks that must stay together, and how many of each genre they are."""

    track_ids: tuple[str, ...]
    tracks_of: Mapping[str, int]


def split_targets(count: Mapping[str, int], fraction: float) -> dict[str, int]:
    """Tracks of each genre that a split should hold: the fraction, rounded half up.

    At least 1, and less than half of the genre, so that two such splits leave some to
    train on. One more track raises a target by at most one.
    """
    return {
        genre: min(max(1, math.floor(fraction * tracks + 0.5)), (tracks - 1) // 2)
        for genre, tracks in count.items()
    }


def fill_split(free: Sequence[Group], targets: Mapping[str, int], *, reserve: int) -> list[Group]:
    """Chooses groups for one split.

    First fit: in the order of `free`, each group that keeps every genre within its target.
    Then each genre that is still without a track, scarcest first, gets the group with the
    fewest tracks of it. No choice leaves a genre with fewer than `reserve` free groups:
    the splits yet to come need them.
    """
    left = Counter(genre for group in free for genre in group.tracks_of)
    scarcest_first = sorted(targets, key=lambda genre: (left[genre], genre))
    count: Counter[str] = Counter()
    chosen: dict[int, Group] = {}

    def spare(group: Group) -> bool:
        return all(left[genre] > reserve for genre in group.tracks_of)

    def choose(index: int) -> None:
        chosen[index] = free[index]
        count.update(free[index].tracks_of)
        left.subtract(dict.fromkeys(free[index].tracks_of, 1))

    for index, group in enumerate(free):
        fits = all(count[genre] + n <= targets[genre] for genre, n in group.tracks_of.items())
        if fits and spare(group):
            choose(index)
    for genre in scarcest_first:
        if count[genre]:
            continue
        candidates = [
            (group.tracks_of[genre], len(group.track_ids), index)
            for index, group in enumerate(free)
            if index not in chosen and genre in group.tracks_of and spare(group)
        ]
        if candidates:
            choose(min(candidates)[-1])
    return list(chosen.values())
