"""The candidate and another model on the same tracks. No TFX."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from components.predictions import resampling
from components.predictions.interval import Interval


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Shares of the same tracks that two models get right, and how sure their difference is.

    `other` says in words which model the candidate is compared with; `tracks` are
    resampled in `groups`, which are artists where they are known.
    """

    other: str
    ours: float
    theirs: float
    difference: Interval
    tracks: int
    groups: int

    def __str__(self) -> str:
        artists = f" ({self.groups} artists)" if self.groups < self.tracks else ""
        low, high = points(self.difference.low), points(self.difference.high)
        return (
            f"{self.ours:.1%} of {self.tracks} test tracks{artists} are right, "
            f"{self.theirs:.1%} with {self.other}: {points(self.difference.value)} points "
            f"(95% interval {low} to {high})"
        )


def points(share: float) -> str:
    """A difference of shares in percentage points, with its sign."""
    return f"{100 * share:+.1f}"


def compare(
    other: str,
    ours: npt.NDArray[np.float64],
    theirs: npt.NDArray[np.float64],
    groups: npt.NDArray[np.int64],
    *,
    resamples: int,
) -> Comparison:
    """Compares by the paired bootstrap of groups of tracks.

    Args:
      other: the other model, in words.
      ours: how far the candidate is right, `[tracks]`, at least one.
      theirs: how far the other is, of the same tracks.
      groups: for each track its group (resampling.groups_of).
      resamples: how often groups are drawn.
    """
    return Comparison(
        other,
        float(ours.mean()),
        float(theirs.mean()),
        resampling.paired_difference(ours, theirs, groups, resamples=resamples),
        len(ours),
        len(np.unique(groups)),
    )
