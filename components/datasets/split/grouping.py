"""Assignment of whole groups of tracks to splits, with target sizes for each genre."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from components.datasets.track import SPLITS, SplitName

# Steps of the fallback search before it gives up, about a second. Difficult cases have few
# artists, for which the search ends long before.
MAX_SEARCH_STEPS = 10_000


@dataclasses.dataclass(frozen=True)
class Group:
    """Tracks that must stay in one split, and their number by genre."""

    track_ids: tuple[str, ...]
    tracks_of: Mapping[str, int]


def split_targets(count: Mapping[str, int], fraction: float) -> dict[str, int]:
    """Return the number of tracks of each genre that a split should have.

    It is the fraction rounded half up, at least 1, and less than half of the genre, so that two
    such splits leave tracks to train on. One more track raises a target by at most one.

    Args:
      count: number of tracks by genre.
      fraction: the split's share.
    """
    return {
        genre: min(max(1, math.floor(fraction * tracks + 0.5)), (tracks - 1) // 2)
        for genre, tracks in count.items()
    }


def assign_groups(
    groups: Sequence[Group], test_targets: Mapping[str, int], validation_targets: Mapping[str, int]
) -> list[SplitName]:
    """Assign each group to a split, in the groups' order.

    Test is filled from the front of the order and validation from the back, both by first fit
    (`_fill`); the rest is train. If that leaves a genre out of a split, because artists have
    several genres, any assignment that gives every split all genres is taken instead,
    whatever its fractions. If none is found, the first one is returned, in which a split
    lacks a genre.

    Args:
      groups: the groups, in the order in which they are assigned.
      test_targets: number of test tracks by genre (split_targets).
      validation_targets: number of validation tracks by genre.

    Returns:
      The split of each group.
    """
    assigned: list[SplitName] = ["train"] * len(groups)
    for index in _fill(groups, range(len(groups)), test_targets, reserve=2):
        assigned[index] = "test"
    # From the other end, so that most tracks that move do so into or out of train.
    rest = [index for index in reversed(range(len(groups))) if assigned[index] == "train"]
    for index in _fill(groups, rest, validation_targets, reserve=1):
        assigned[index] = "validation"
    seen = {(genre, assigned[i]) for i, group in enumerate(groups) for genre in group.tracks_of}
    if len(seen) == len(SPLITS) * len(test_targets):
        return assigned
    return _cover(groups) or assigned


def take_groups(groups: Sequence[Group], targets: Mapping[str, int]) -> list[Group]:
    """Return the groups to take for a split, by first fit, if the others remain in train.

    Args:
      groups: the groups, in the order in which they are tried.
      targets: number of tracks by genre (split_targets).
    """
    taken = _fill(groups, range(len(groups)), targets, reserve=1)
    return [groups[index] for index in sorted(taken)]


def _fill(
    groups: Sequence[Group], order: Sequence[int], targets: Mapping[str, int], *, reserve: int
) -> set[int]:
    """Choose groups for one split.

    First fit takes, in the given order, each group that keeps every genre within its target.
    Then each genre that still has no track gets the group with the fewest tracks of it.

    Args:
      groups: all groups.
      order: indices of the groups to choose from.
      targets: number of tracks by genre.
      reserve: number of groups of each genre to leave for the remaining splits.

    Returns:
      The indices of the chosen groups.
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
    """Search depth-first for an assignment in which every split has every genre.

    Smaller groups are tried first, and groups that are not needed are train, so that most
    tracks are.

    Returns:
      The split of each group, or None if none is found in MAX_SEARCH_STEPS.
    """
    holders: dict[str, list[int]] = defaultdict(list)
    for index in sorted(range(len(groups)), key=lambda i: (len(groups[i].track_ids), i)):
        for genre in groups[index].tracks_of:
            holders[genre].append(index)
    scarcest_first = sorted(holders, key=lambda genre: (len(holders[genre]), genre))
    needs: list[tuple[str, SplitName]] = [
        (genre, split) for genre in scarcest_first for split in reversed(SPLITS)
    ]
    assigned: dict[int, SplitName] = {}
    met: Counter[tuple[str, SplitName]] = Counter()
    # One level per assigned group: its split, the candidates left, and the candidate on trial.
    levels: list[tuple[SplitName, Iterator[int], list[int]]] = []
    for _ in range(MAX_SEARCH_STEPS):
        need = next((need for need in needs if not met[need]), None)
        if need is None:
            return [assigned.get(index, "train") for index in range(len(groups))]
        genre, split = need
        levels.append((split, iter(holders[genre]), []))
        while levels:
            split, candidates, on_trial = levels[-1]
            if on_trial:
                index = on_trial.pop()
                del assigned[index]
                met.subtract((genre, split) for genre in groups[index].tracks_of)
            free = next((index for index in candidates if index not in assigned), None)
            if free is not None:
                on_trial.append(free)
                assigned[free] = split
                met.update((genre, split) for genre in groups[free].tracks_of)
                break
            levels.pop()
        if not levels:
            return None
    return None
