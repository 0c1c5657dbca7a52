"""Dealing whole groups of tracks to splits, genre by genre as full as asked for."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from components.datasets.track import SPLITS, SplitName

# Groups that the search of last resort deals before it gives up: a second's work. Tight
# cases have few artists, so that it ends long before.
MAX_SEARCH_STEPS = 10_000


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


def deal_groups(
    groups: Sequence[Group], test_targets: Mapping[str, int], validation_targets: Mapping[str, int]
) -> list[SplitName]:
    """The split of each group: test from the front of the order, validation from its back.

    Both by first fit (`_fill`); the rest trains. Where artists of several genres make that
    leave a genre out of a split, any deal that gives every split all genres is taken
    instead, fractions aside; where none is found, the deal by first fit is returned and
    a genre is missing.
    """
    dealt: list[SplitName] = ["train"] * len(groups)
    for index in _fill(groups, range(len(groups)), test_targets, reserve=2):
        dealt[index] = "test"
    # From the other end, so that a track that moves mostly moves out of or into train.
    rest = [index for index in reversed(range(len(groups))) if dealt[index] == "train"]
    for index in _fill(groups, rest, validation_targets, reserve=1):
        dealt[index] = "validation"
    seen = {(genre, dealt[i]) for i, group in enumerate(groups) for genre in group.tracks_of}
    if len(seen) == len(SPLITS) * len(test_targets):
        return dealt
    return _cover(groups) or dealt


def _fill(
    groups: Sequence[Group], order: Sequence[int], targets: Mapping[str, int], *, reserve: int
) -> set[int]:
    """Chooses groups, by index, for one split.

    First fit: in the given order, each group that keeps every genre within its target.
    Then each genre that is still without a track gets the group with the
    fewest tracks of it. No choice leaves a genre with fewer than `reserve` groups of
    `order`: the splits yet to come need them.
    """
    left = Counter(genre for index in order for genre in groups[index].tracks_of)
    count: Counter[str] = Counter()
    chosen: set[int] = set()

    def spare(group: Group) -> bool:
        return all(left[genre] > reserve for genre in group.tracks_of)

    def choose(index: int) -> None:
        chosen.add(index)
        count.update(groups[index].tracks_of)
        left.subtract(dict.fromkeys(groups[index].tracks_of, 1))

    for index in order:
        group = groups[index]
        fits = all(count[genre] + n <= targets[genre] for genre, n in group.tracks_of.items())
        if fits and spare(group):
            choose(index)
    for genre in sorted(targets):
        if count[genre]:
            continue
        candidates = [
            (groups[index].tracks_of[genre], len(groups[index].track_ids), place, index)
            for place, index in enumerate(order)
            if genre in groups[index].tracks_of and spare(groups[index])
        ]
        if candidates:
            choose(min(candidates)[-1])
    return chosen


def _cover(groups: Sequence[Group]) -> list[SplitName] | None:
    """A deal in which every split has every genre, by depth-first search; None if not found.

    Smaller groups are tried first and what is not needed trains, so that most tracks do.
    """
    holders: dict[str, list[int]] = defaultdict(list)
    for index in sorted(range(len(groups)), key=lambda i: (len(groups[i].track_ids), i)):
        for genre in groups[index].tracks_of:
            holders[genre].append(index)
    scarcest_first = sorted(holders, key=lambda genre: (len(holders[genre]), genre))
    needs: list[tuple[str, SplitName]] = [
        (genre, split) for genre in scarcest_first for split in reversed(SPLITS)
    ]
    dealt: dict[int, SplitName] = {}
    met: Counter[tuple[str, SplitName]] = Counter()
    # One level for each group dealt: the split it fills, what else to try, what is tried.
    levels: list[tuple[SplitName, Iterator[int], list[int]]] = []
    for _ in range(MAX_SEARCH_STEPS):
        need = next((need for need in needs if not met[need]), None)
        if need is None:
            return [dealt.get(index, "train") for index in range(len(groups))]
        genre, split = need
        levels.append((split, iter(holders[genre]), []))
        while levels:
            split, candidates, tried = levels[-1]
            if tried:
                index = tried.pop()
                del dealt[index]
                met.subtract((genre, split) for genre in groups[index].tracks_of)
            free = next((index for index in candidates if index not in dealt), None)
            if free is not None:
                tried.append(free)
                dealt[free] = split
                met.update((genre, split) for genre in groups[free].tracks_of)
                break
            levels.pop()
        if not levels:
            return None
    return None
