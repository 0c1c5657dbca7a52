"""Confidence intervals of accuracies and their differences: a bootstrap over groups of tracks.

Tracks of one artist are correlated, so whole artists are resampled (Davison & Hinkley 1997,
section 3.8). A track without a known artist is a group of its own. The percentile interval of
such a bootstrap is too short if there are few groups, or if two models hardly ever differ. Two
corrections fix this (benchmarks/gate_power.py measures both):

- The percentiles are moved outwards by the factor by which Student's t is wider than the normal
  distribution. This is the expanded percentile interval of Hesterberg (2015), "What Teachers
  Should Know About the Bootstrap", section 5.3. For groups of unequal sizes, their number is
  Kish's (1965) effective number, (sum n)^2 / sum n^2.
- Half a track with the lowest possible value and half a track with the highest are added before
  resampling, as Agresti & Min (2005, "Simple improved confidence intervals for comparing matched
  proportions") add halves to a table of matched pairs. Without them, two models that agree on
  every track would have an interval of zero width.

The order of the tracks does not change the interval. The interval of b - a is that of a - b,
mirrored.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from scipy import special

from components.predictions.interval import Interval

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

RESAMPLES = 10_000
SEED = 20170101
CONFIDENCE = 0.95
# Draws in one block; a draw and its weight take 12 bytes, so a block takes about 25 MB.
_BLOCK_DRAWS = 1 << 21
EXTREME_TRACKS = 0.5


def groups_of(artist_id: Sequence[str], track_id: Sequence[str]) -> Integers:
    """Return the number of each track's group, int64 `[tracks]`.

    Tracks of one artist are a group; a track without a known artist is a group of its own. The
    numbers follow the sorted names, so they do not depend on the order of the tracks.

    Args:
      artist_id: each track's artist; "" if unknown.
      track_id: each track's id.
    """
    names = [
        f"artist {artist}" if artist else f"track {track}"
        for artist, track in zip(artist_id, track_id, strict=True)
    ]
    # Compared by Python: pandas and NumPy treat names that differ in a NUL as equal.
    number = {name: index for index, name in enumerate(sorted(set(names)))}
    return np.array([number[name] for name in names], dtype=np.int64)


def share(
    correct: npt.ArrayLike,
    groups: npt.ArrayLike,
    *,
    weights: npt.ArrayLike | None = None,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Interval:
    """Return the mean correctness of tracks, with its interval.

    Args:
      correct: how correct each track is predicted, 0 to 1, `[tracks]`.
      groups: the group of each track, `[tracks]` (groups_of).
      weights: how much each track counts in the mean, above 0, `[tracks]`; None for the same.
      resamples: number of bootstrap resamples.
      seed: seed of the draws.

    Raises:
      ValueError: there are no tracks, the sizes differ, or a value is outside 0 to 1.
    """
    values = _checked(correct, groups)
    counts = np.ones(len(values)) if weights is None else np.asarray(weights, dtype=float)
    sample = _Sample(values, np.asarray(groups), (0.0, 1.0), counts / counts.mean())
    means = sample.resampled(resamples, np.random.default_rng(seed))
    value = float(np.average(values, weights=counts))
    return expanded_interval(value, means, sample.effective_groups, (0.0, 1.0))


def paired_difference(
    correct_a: npt.ArrayLike,
    correct_b: npt.ArrayLike,
    groups: npt.ArrayLike,
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Interval:
    """Return the mean correctness of model a minus that of model b, on the same tracks.

    Args:
      correct_a: how correctly model a predicts each track, 0 to 1, `[tracks]`.
      correct_b: the same for model b.
      groups: the group of each track, `[tracks]` (groups_of).
      resamples: number of bootstrap resamples.
      seed: seed of the draws.

    Raises:
      ValueError: there are no tracks, the sizes differ, or a value is outside 0 to 1.
    """
    difference = _checked(correct_a, groups) - _checked(correct_b, groups)
    sample = _Sample(difference, np.asarray(groups), (-1.0, 1.0))
    means = sample.resampled(resamples, np.random.default_rng(seed))
    return expanded_interval(float(difference.mean()), means, sample.effective_groups, (-1.0, 1.0))


def unpaired_difference(
    correct_a: npt.ArrayLike,
    groups_a: npt.ArrayLike,
    correct_b: npt.ArrayLike,
    groups_b: npt.ArrayLike,
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Interval:
    """Return the mean correctness of model a minus that of model b, on different tracks.

    Each side is resampled on its own. If the two have tracks in common, paired_difference on
    these tracks alone gives a narrower interval. The smaller number of groups decides how far
    the percentiles move outwards, which is the conservative choice. For arguments and errors see
    paired_difference.
    """
    values = (_checked(correct_a, groups_a), _checked(correct_b, groups_b))
    sides = [
        _Sample(value, np.asarray(groups), (0.0, 1.0))
        for value, groups in zip(values, (groups_a, groups_b), strict=True)
    ]
    # Each side has its own draws, and the same ones if the two sides are swapped.
    first = int(sides[0].contents() > sides[1].contents())
    means = [
        side.resampled(resamples, np.random.default_rng([seed, index ^ first]))
        for index, side in enumerate(sides)
    ]
    fewest = min(side.effective_groups for side in sides)
    value = float(values[0].mean() - values[1].mean())
    return expanded_interval(value, means[0] - means[1], fewest, (-1.0, 1.0))


class _Sample:
    """Values of tracks summed by group, and the two half tracks with the extreme values."""

    def __init__(
        self,
        values: Floats,
        groups: Integers,
        bounds: tuple[float, float],
        weights: Floats | None = None,
    ) -> None:
        _, group = np.unique(groups, return_inverse=True)
        counts = np.ones(len(values)) if weights is None else weights
        sizes = np.bincount(group, weights=counts)
        self.effective_groups = float(sizes.sum() ** 2 / (sizes**2).sum())
        ends = np.full(2, EXTREME_TRACKS)
        sums = np.bincount(group, weights=values * counts)
        self.sizes = np.concatenate([sizes, ends])
        # Each draw counts twice, with the half tracks both ways round. This makes the interval
        # of the mirrored data the mirrored interval.
        self.sums = np.stack(
            [np.concatenate([sums, ends * bounds]), np.concatenate([sums, ends * bounds[::-1]])],
            axis=1,
        )

    def contents(self) -> tuple[list[float], list[float]]:
        """Return the values that distinguish samples."""
        return self.sums[:, 0].tolist(), self.sizes.tolist()

    def resampled(self, resamples: int, generator: np.random.Generator) -> Floats:
        """Return the mean over tracks of each resample, `[2 * resamples]`."""
        statistics = np.column_stack([self.sums, self.sizes])
        totals = np.concatenate(
            [
                weights @ statistics
                for weights in drawn_weights(len(statistics), resamples, generator)
            ]
        )
        means: Floats = (totals[:, :2] / totals[:, 2:]).ravel()
        return means


def drawn_weights(groups: int, resamples: int, generator: np.random.Generator) -> Iterator[Floats]:
    """Yield how often each group is drawn, in blocks of `[some resamples, groups]`.

    Blocks keep memory independent of the number of resamples.
    """
    rows = max(1, _BLOCK_DRAWS // groups)
    for start in range(0, resamples, rows):
        some = min(rows, resamples - start)
        drawn = generator.integers(groups, size=(some, groups), dtype=np.int32)
        drawn += np.arange(some, dtype=np.int32)[:, np.newaxis] * groups
        counts = np.bincount(drawn.ravel(), minlength=some * groups)
        yield counts.reshape(some, groups).astype(float)


def expanded_interval(
    value: float, means: Floats, effective_groups: float, bounds: tuple[float, float]
) -> Interval:
    """Return the expanded percentile interval of resampled means.

    Args:
      value: the mean itself, which the interval always contains.
      means: means of the resamples, `[resamples]`.
      effective_groups: the number of groups of equal size that would carry the same
        information. Below 2 the variation between groups is unknown, and the interval is
        `bounds`.
      bounds: the lowest and the highest possible value.
    """
    if effective_groups < 2:
        return Interval(value, *bounds)
    tail = (1 - CONFIDENCE) / 2
    student = special.stdtrit(effective_groups - 1, tail)
    tail = special.ndtr(student * np.sqrt(effective_groups / (effective_groups - 1)))
    ordered = np.sort(means)
    # Counted from both ends and not interpolated, so that mirrored data has the mirrored
    # interval, to the last bit.
    cut = int(tail * len(ordered))
    return Interval(
        value, min(value, float(ordered[cut])), max(value, float(ordered[len(ordered) - 1 - cut]))
    )


def _checked(correct: npt.ArrayLike, groups: npt.ArrayLike) -> Floats:
    values = np.asarray(correct, dtype=float)
    if values.ndim != 1 or not len(values) or np.shape(groups) != values.shape:
        raise ValueError(f"values of shape {values.shape}, but groups of shape {np.shape(groups)}")
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError("correctness must be from 0 to 1")
    return values
