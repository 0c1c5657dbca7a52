"""Confidence in macro F1 and in differences of it, as components.predictions.resampling has it.

F1 is not a mean over tracks, so the counts that each group adds to a genre are resampled, and
the scores are computed from the counts of each resample. Each side wins one of the two half
tracks. They move a score as they would move a mean over tracks, and have no genre: in a resample
without the only artist of a genre they would be all of that genre.
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
_SHARES, _DIFFERENCES = (0.0, 1.0), (-1.0, 1.0)


@dataclasses.dataclass(frozen=True)
class TrackPredictions:
    """True and predicted genres of one model's tracks.

    Attributes:
      true: labels, `[tracks]`.
      predicted: labels, `[tracks]`.
      genres: number of genres.
    """

    true: Integers
    predicted: Integers
    genres: int

    def counts(self) -> Floats:
        """Return each track's contribution to each genre's counts, `[tracks, 3, genres]`.

        The second dimension counts correct predictions, true tracks and predicted tracks.
        """
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
    """Return the mean F1 over the genres that occur, as true or predicted ones.

    Args:
      counts: `[..., 3, genres]`, as TrackPredictions.counts has them.

    Returns:
      `[...]`.
    """
    hits, seen = counts[..., 0, :], counts[..., 1, :] + counts[..., 2, :]
    f1 = 2 * hits / np.where(seen > 0, seen, 1)
    return f1.sum(axis=-1) / np.maximum((seen > 0).sum(axis=-1), 1)


def f1_share(
    predictions: TrackPredictions,
    groups: npt.ArrayLike,
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Interval:
    """Return macro F1 with its interval; for arguments and errors see paired_f1_difference."""
    side = _Side(predictions, groups)
    scores = side.resampled(resamples, np.random.default_rng(seed))
    return expanded_interval(side.value, scores, side.effective_groups, _SHARES)


def paired_f1_difference(
    a: TrackPredictions,
    b: TrackPredictions,
    groups: npt.ArrayLike,
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Interval:
    """Return macro F1 of a minus that of b, where both predicted the same tracks.

    Args:
      a: predictions of one model.
      b: predictions of the other, for the same tracks in the same order; its genres may differ.
      groups: the group of each track, `[tracks]` (resampling.groups_of).
      resamples: number of bootstrap resamples.
      seed: seed of the draws.

    Raises:
      ValueError: there are no tracks, or the arrays' sizes differ.
    """
    side_a, side_b = _Side(a, groups), _Side(b, groups)
    generator = np.random.default_rng(seed)
    scores = []
    for weights in drawn_weights(side_a.rows, resamples, generator):
        # Both ways round, as in resampling.
        for first in (True, False):
            scores.append(side_a.scores(weights, first) - side_b.scores(weights, not first))
    return expanded_interval(
        side_a.value - side_b.value, np.concatenate(scores), side_a.effective_groups, _DIFFERENCES
    )


def unpaired_f1_difference(
    a: TrackPredictions,
    groups_a: npt.ArrayLike,
    b: TrackPredictions,
    groups_b: npt.ArrayLike,
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Interval:
    """Return macro F1 of a minus that of b, where the tracks differ.

    Each side is resampled on its own. For arguments and errors see paired_f1_difference.
    """
    sides = (_Side(a, groups_a), _Side(b, groups_b))
    scores = [
        side.resampled(resamples, np.random.default_rng([seed, number]))
        for number, side in enumerate(sides)
    ]
    fewest = min(side.effective_groups for side in sides)
    value = sides[0].value - sides[1].value
    return expanded_interval(value, scores[0] - scores[1], fewest, _DIFFERENCES)


class _Side:
    """Counts of one model by group, followed by the two half tracks."""

    def __init__(self, predictions: TrackPredictions, groups: npt.ArrayLike) -> None:
        counts = predictions.counts()
        labels = np.asarray(groups)
        if not len(counts) or labels.shape != (len(counts),):
            raise ValueError(f"{len(counts)} predictions, but groups of shape {labels.shape}")
        _, group = np.unique(labels, return_inverse=True)
        self._sizes = np.bincount(group).astype(float)
        self.effective_groups = float(self._sizes.sum() ** 2 / (self._sizes**2).sum())
        self.value = float(macro_f1(counts.sum(axis=0)))
        self._sums = np.zeros((len(self._sizes), *counts.shape[1:]))
        np.add.at(self._sums, group, counts)
        self.rows = len(self._sizes) + 2

    def resampled(self, resamples: int, generator: np.random.Generator) -> Floats:
        """Return macro F1 of each resample, with the half tracks both ways round."""
        found = [
            self.scores(weights, first)
            for weights in drawn_weights(self.rows, resamples, generator)
            for first in (True, False)
        ]
        return np.concatenate(found)

    def scores(self, weights: Floats, first: bool) -> Floats:
        """Return macro F1 of each resample.

        Args:
          weights: how often each group and half track is drawn, `[resamples, rows]`.
          first: whether the first half track, not the second, is predicted correctly.
        """
        drawn = weights[:, :-2]
        tracks = drawn @ self._sizes
        counts = drawn @ self._sums.reshape(len(self._sums), -1)
        halves = EXTREME_TRACKS * weights[:, -2:]
        score = macro_f1(counts.reshape(len(weights), *self._sums.shape[1:]))
        correct = halves[:, 0 if first else 1]
        return np.asarray((tracks * score + correct) / (tracks + halves.sum(axis=1)))
