"""How sure a share of tracks, or a difference of two, is: the bootstrap by groups of tracks.

Tracks of one artist are alike, so what is resampled are whole artists (Davison & Hinkley
1997, section 3.8); a track whose artist is unknown is a group of its own. The percentile
interval of such a bootstrap is too short where groups are few or where two models hardly
ever disagree, so two things are done to it (benchmarks/gate_power.py measures both):

- Its percentiles lie farther out, as far as Student's t lies outside the normal
  distribution: the expanded percentile interval of Hesterberg (2015), "What Teachers Should
  Know About the Bootstrap", section 5.3. For groups of unequal sizes their number is
  Kish's (1965) effective one, (sum n)^2 / sum n^2.
- Half a track that shows the least and half a track that shows the most is added before
  resampling, as Agresti & Min (2005, "Simple improved confidence intervals for comparing
  matched proportions") add halves to a table of matched pairs. Without them two models that
  agree on every track would have an interval of no width.

The same tracks in another order give the same interval, and a - b that of b - a, mirrored.
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
# Groups drawn at a time: a block's draws and weights take 12 bytes each, so about 25 MB.
_BLOCK_DRAWS = 1 << 21
EXTREME_TRACKS = 0.5


def groups_of(artist_id: Sequence[str], track_id: Sequence[str]) -> Integers:
    """For each track the number of its group, `[tracks]`: its artist's; without one its own.

    Numbers follow the sorted names, so that they do not depend on the order of tracks.
    """
    names = [
        f"artist {artist}" if artist else f"track {track}"
        for artist, track in zip(artist_id, track_id, strict=True)
    ]
    # Python's own comparison: pandas and NumPy take names that differ in a NUL for equal.
    number = {name: index for index, name in enumerate(sorted(set(names)))}
    return np.array([number[name] for name in names], dtype=np.int64)


def share(
    right: npt.ArrayLike, groups: npt.ArrayLike, *, resamples: int = RESAMPLES, seed: int = SEED
) -> Interval:
    """The mean of `right`, with its interval.

    Args:
      right: for each track how far it was right, 0 to 1, `[tracks]`.
      groups: for each track its group, `[tracks]` (groups_of).
      resamples: how often the groups are drawn anew.
      seed: of the draws.

    Raises:
      ValueError: no tracks, arrays that do not fit, or a value outside 0 to 1.
    """
    values = _checked(right, groups)
    sample = _Sample(values, np.asarray(groups), (0.0, 1.0))
    means = sample.resampled(resamples, np.random.default_rng(seed))
    return expanded_interval(float(values.mean()), means, sample.effective_groups, (0.0, 1.0))


def paired_difference(
    right_a: npt.ArrayLike,
    right_b: npt.ArrayLike,
    groups: npt.ArrayLike,
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Interval:
    """Mean of `right_a` less mean of `right_b` where both are of the same tracks.

    Args:
      right_a: for each track how far model a was right, 0 to 1, `[tracks]`.
      right_b: the same of model b.
      groups: for each track its group, `[tracks]` (groups_of).
      resamples: how often the groups are drawn anew.
      seed: of the draws.

    Raises:
      ValueError: no tracks, arrays that do not fit, or a value outside 0 to 1.
    """
    difference = _checked(right_a, groups) - _checked(right_b, groups)
    sample = _Sample(difference, np.asarray(groups), (-1.0, 1.0))
    means = sample.resampled(resamples, np.random.default_rng(seed))
    return expanded_interval(float(difference.mean()), means, sample.effective_groups, (-1.0, 1.0))


def unpaired_difference(
    right_a: npt.ArrayLike,
    groups_a: npt.ArrayLike,
    right_b: npt.ArrayLike,
    groups_b: npt.ArrayLike,
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Interval:
    """Mean of `right_a` less mean of `right_b` where the tracks are others, as of two corpora.

    Each side is resampled on its own. If some tracks are the same, the interval is wider
    than it need be: take those alone, and paired_difference.

    Args and errors: as paired_difference, for each side. The smaller number of groups
    decides how far the percentiles move out, which is the careful choice.
    """
    values = (_checked(right_a, groups_a), _checked(right_b, groups_b))
    sides = [
        _Sample(value, np.asarray(groups), (0.0, 1.0))
        for value, groups in zip(values, (groups_a, groups_b), strict=True)
    ]
    # Draws of its own for each side, and the same ones if the two change places.
    first = int(sides[0].contents() > sides[1].contents())
    means = [
        side.resampled(resamples, np.random.default_rng([seed, index ^ first]))
        for index, side in enumerate(sides)
    ]
    fewest = min(side.effective_groups for side in sides)
    value = float(values[0].mean() - values[1].mean())
    return expanded_interval(value, means[0] - means[1], fewest, (-1.0, 1.0))


class _Sample:
    """Tracks by group, with the two half tracks at the ends of what is possible."""

    def __init__(self, values: Floats, groups: Integers, bounds: tuple[float, float]) -> None:
        _, group = np.unique(groups, return_inverse=True)
        sizes = np.bincount(group).astype(float)
        self.effective_groups = float(sizes.sum() ** 2 / (sizes**2).sum())
        ends = np.full(2, EXTREME_TRACKS)
        sums = np.bincount(group, weights=values)
        self.sizes = np.concatenate([sizes, ends])
        # Each draw counts twice, the half tracks the one and the other way round: as they
        # are part of the data's mirror image, that is what makes its interval the mirror.
        self.sums = np.stack(
            [np.concatenate([sums, ends * bounds]), np.concatenate([sums, ends * bounds[::-1]])],
            axis=1,
        )

    def contents(self) -> tuple[list[float], list[float]]:
        """What tells samples apart."""
        return self.sums[:, 0].tolist(), self.sizes.tolist()

    def resampled(self, resamples: int, generator: np.random.Generator) -> Floats:
        """The mean over tracks of each resample, `[2 * resamples]`."""
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
    """How often each group is drawn in each resample: blocks of `[some resamples, groups]`,
    so that memory does not grow with the number of resamples."""
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
    """The expanded percentile interval of resampled means.

    Args:
      value: the mean itself, which the interval always holds.
      means: of the resamples, `[resamples]`.
      effective_groups: how many groups of equal size would say as much. Below 2 nothing is
        known of how much groups differ: the interval is all of `bounds`.
      bounds: the least and the most that is possible.
    """
    if effective_groups < 2:
        return Interval(value, *bounds)
    tail = (1 - CONFIDENCE) / 2
    student = special.stdtrit(effective_groups - 1, tail)
    tail = special.ndtr(student * np.sqrt(effective_groups / (effective_groups - 1)))
    ordered = np.sort(means)
    # Counted from both ends, not interpolated: so the mirror of the data has the mirror of
    # the interval, to the last bit.
    cut = int(tail * len(ordered))
    return Interval(
        value, min(value, float(ordered[cut])), max(value, float(ordered[len(ordered) - 1 - cut]))
    )


def _checked(right: npt.ArrayLike, groups: npt.ArrayLike) -> Floats:
    values = np.asarray(right, dtype=float)
    if values.ndim != 1 or not len(values) or np.shape(groups) != values.shape:
        raise ValueError(f"values {values.shape} and groups {np.shape(groups)}: not one a track")
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError("how far a track was right is a number from 0 to 1")
    return values
