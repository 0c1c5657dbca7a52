"""Tracks whose label a held-out prediction contradicts, ranked by how likely it is wrong.

The means are those of confident learning: Northcutt, Jiang, Chuang 2021, "Confident Learning:
Estimating Uncertainty in Dataset Labels" (Journal of Artificial Intelligence Research 70). A
genre's threshold is its mean probability over the tracks labelled with it, which makes up for a
classifier that is more confident of one genre than of another. A track whose probability of a
genre reaches that genre's threshold counts as of that genre with confidence.

The paper lists tracks that count as of another genre than their label says. benchmarks.explore
measures that this misses a third of the swapped labels, so here every track is listed whose label
is not the most probable genre, and the paper's tracks are marked `sure`. The rank is the paper's
self-confidence, the probability of the label, as a share of the genre's threshold.

cleanlab implements the paper under the AGPL, so it is no dependency.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class LabelIssue:
    """Track whose label a held-out prediction contradicts.

    Attributes:
      track: index of the track.
      given: index of the genre that the label says.
      suggested: index of the most probable genre.
      p_given: held-out probability of the given genre.
      p_suggested: held-out probability of the suggested genre.
      threshold: mean probability of the given genre over the tracks labelled with it.
      sure: whether confident learning counts the track as of another genre.
    """

    track: int
    given: int
    suggested: int
    p_given: float
    p_suggested: float
    threshold: float
    sure: bool


def thresholds(probabilities: Floats, labels: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return each genre's mean probability over the tracks with its label; infinite without any.

    Args:
      probabilities: held-out, `[tracks, genres]`; NaN rows are left out.
      labels: the given genres, `[tracks]`.
    """
    genres = probabilities.shape[1]
    found = np.full(genres, np.inf)
    judged = np.isfinite(probabilities).all(axis=1)
    for genre in range(genres):
        own = judged & (labels == genre)
        if own.any():
            found[genre] = probabilities[own, genre].astype(np.float64).mean()
    return found


def label_issues(probabilities: Floats, labels: npt.NDArray[np.int64]) -> list[LabelIssue]:
    """Return the tracks whose label is not the most probable genre, the likeliest wrong first.

    Args:
      probabilities: held-out, `[tracks, genres]`; NaN rows are left out.
      labels: the given genres, `[tracks]`.
    """
    limits = thresholds(probabilities, labels)
    values = np.nan_to_num(probabilities.astype(np.float64), nan=-1.0)
    own = values[np.arange(len(labels)), labels]
    best = values.argmax(axis=1)
    confident = values >= limits
    counted = np.where(confident, values, -1.0).argmax(axis=1)
    sure = confident.any(axis=1) & (counted != labels)
    contradicted = np.flatnonzero((best != labels) & (own >= 0))
    with np.errstate(invalid="ignore"):
        score = own / np.maximum(limits[labels], np.finfo(float).tiny)
    order = contradicted[np.argsort(score[contradicted], kind="stable")]
    return [
        LabelIssue(
            track=int(track),
            given=int(labels[track]),
            suggested=int(best[track]),
            p_given=float(own[track]),
            p_suggested=float(values[track, best[track]]),
            threshold=float(limits[labels[track]]),
            sure=bool(sure[track]),
        )
        for track in order
    ]
