"""Comparison of the candidate with another model on the same tracks. Imports no TFX."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from components.predictions import resampling
from components.predictions.interval import Interval


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Track accuracies of two models on the same tracks, and their difference.

    Attributes:
      other: name of the model that the candidate is compared with, for texts.
      ours: the candidate's accuracy, 0 to 1.
      theirs: the other model's accuracy.
      difference: `ours` minus `theirs`, with its interval.
      tracks: number of tracks.
      groups: number of groups that were resampled: artists, where they are known.
    """

    other: str
    ours: float
    theirs: float
    difference: Interval
    tracks: int
    groups: int

    def __str__(self) -> str:
        low, high = points(self.difference.low), points(self.difference.high)
        return (
            f"{self.ours:.1%} of {counted(self.tracks, self.groups)} are correct, "
            f"{self.theirs:.1%} with {self.other}: {points(self.difference.value)} points "
            f"(95% interval {low} to {high})"
        )


def counted(tracks: int, groups: int) -> str:
    """Return the number of test tracks, and that of artists where they are what is resampled."""
    artists = f" ({groups} artists)" if groups < tracks else ""
    return f"{tracks} test tracks{artists}"


def points(share: float) -> str:
    """Return a difference of shares as signed percentage points."""
    return f"{100 * share:+.1f}"


def compare(
    other: str,
    ours: npt.NDArray[np.float64],
    theirs: npt.NDArray[np.float64],
    groups: npt.NDArray[np.int64],
    *,
    resamples: int,
) -> Comparison:
    """Compare two models by the paired bootstrap over groups of tracks.

    Args:
      other: name of the other model, for texts.
      ours: the candidate's score on each track, 0 to 1, `[tracks]`, at least one track.
      theirs: the other model's score on the same tracks.
      groups: the group of each track (resampling.groups_of), `[tracks]`.
      resamples: number of bootstrap resamples.
    """
    return Comparison(
        other,
        float(ours.mean()),
        float(theirs.mean()),
        resampling.paired_difference(ours, theirs, groups, resamples=resamples),
        len(ours),
        len(np.unique(groups)),
    )
