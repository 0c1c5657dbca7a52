"""How sure a difference of two macro F1 scores is: as components.predictions.resampling has it.

F1 is no mean over tracks, so what each group adds to a genre's counts is resampled, and the
scores are computed from the counts of each resample. The two half tracks, which one model
has right and the other wrong and the other way round, move a score as they would move a mean
over tracks: as tracks of some genre they would make up all of one whose only artist was not
drawn.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from components.predictions.interval import Interval
from components.predictions.resampling import (
    EXTREME_TRACKS,
    RESAMPLES,
    SEED,
    drawn_weights,
    expanded_interval,
)

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
BOUNDS = (-1.0, 1.0)


@dataclasses.dataclass(frozen=True)
class Answers:
    """What one model said of tracks: `true` and `predicted` labels, `[tracks]`, of so many
    `genres`."""

    true: Integers
    predicted: Integers
    genres: int

    def counts(self) -> Floats:
        """`[tracks, 3, genres]`: 1 where the track is found, is of, is taken for the genre."""
        one = np.eye(self.genres)
        return np.stack(
            [
                one[self.true] * (self.true == self.predicted)[:, np.newaxis],
                one[self.true],
                one[self.predicted],
            ],
            axis=1,
        )


def macro_f1(counts: Floats) -> Floats:
    """Mean F1 over the genres that occur (true or predicted): `[..., 3, genres]` to `[...]`."""
    hits, seen = counts[..., 0, :], counts[..., 1, :] + counts[..., 2, :]
    f1 = 2 * hits / np.where(seen > 0, seen, 1)
    return f1.sum(axis=-1) / np.maximum((seen > 0).sum(axis=-1), 1)


def paired_f1_difference(
    a: Answers,
    b: Answers,
    groups: npt.ArrayLike,
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Interval:
    """Macro F1 of a less that of b, where both are of the same tracks.

    Args:
      a: of some tracks.
      b: of the same tracks in the same order; its genres may be others.
      groups: for each track its group, `[tracks]` (resampling.groups_of).
      resamples: how often the groups are drawn anew.
      seed: of the draws.

    Raises:
      ValueError: no tracks, or arrays that do not fit.
    """
    side_a, side_b = _Side(a, groups), _Side(b, groups)
    generator = np.random.default_rng(seed)
    scores = []
    for weights in drawn_weights(side_a.rows, resamples, generator):
        # Both ways round, as in resampling.
        for first in (True, False):
            scores.append(side_a.scores(weights, first) - side_b.scores(weights, not first))
    return expanded_interval(
        side_a.value - side_b.value, np.concatenate(scores), side_a.effective_groups, BOUNDS
    )


def unpaired_f1_difference(
    a: Answers,
    groups_a: npt.ArrayLike,
    b: Answers,
    groups_b: npt.ArrayLike,
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Interval:
    """Macro F1 of a less that of b, where the tracks are others; each is resampled alone.

    Args and errors: as paired_f1_difference, for each side.
    """
    sides = (_Side(a, groups_a), _Side(b, groups_b))
    scores = []
    for number, side in enumerate(sides):
        generator = np.random.default_rng([seed, number])
        found = [
            side.scores(weights, first)
            for weights in drawn_weights(side.rows, resamples, generator)
            for first in (True, False)
        ]
        scores.append(np.concatenate(found))
    fewest = min(side.effective_groups for side in sides)
    return expanded_interval(sides[0].value - sides[1].value, scores[0] - scores[1], fewest, BOUNDS)


class _Side:
    """One model's counts by group, and the two half tracks after them."""

    def __init__(self, answers: Answers, groups: npt.ArrayLike) -> None:
        counts = answers.counts()
        labels = np.asarray(groups)
        if not len(counts) or labels.shape != (len(counts),):
            raise ValueError(f"{len(counts)} answers and groups {labels.shape}: not one a track")
        _, group = np.unique(labels, return_inverse=True)
        self._sizes = np.bincount(group).astype(float)
        self.effective_groups = float(self._sizes.sum() ** 2 / (self._sizes**2).sum())
        self.value = float(macro_f1(counts.sum(axis=0)))
        self._sums = np.zeros((len(self._sizes), *counts.shape[1:]))
        np.add.at(self._sums, group, counts)
        self.rows = len(self._sizes) + 2

    def scores(self, weights: Floats, first: bool) -> Floats:
        """Macro F1 of each resample; `first`: the first half track is the one that is right."""
        drawn = weights[:, :-2]
        tracks = drawn @ self._sizes
        counts = drawn @ self._sums.reshape(len(self._sums), -1)
        halves = EXTREME_TRACKS * weights[:, -2:]
        score = macro_f1(counts.reshape(len(weights), *self._sums.shape[1:]))
        right = halves[:, 0 if first else 1]
        return np.asarray((tracks * score + right) / (tracks + halves.sum(axis=1)))
