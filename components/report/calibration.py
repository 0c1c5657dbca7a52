"""Calibration: whether 80 % of the clips that are predicted with probability 0.8 are right."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

BINS = 10


@dataclasses.dataclass(frozen=True)
class Reliability:
    """Reliability of predictions, in bins of equal width by their probability.

    Attributes:
      counts: Number of predictions, int64 `[bins]`.
      confidence: Mean probability of the predicted genres, float64 `[bins]`; NaN in empty bins.
      accuracy: Share of correct predictions, float64 `[bins]`; NaN in empty bins.
      ece: Expected calibration error: the mean distance of confidence and accuracy, weighted by
        count (Guo et al. 2017, equation 3).
    """

    counts: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float64]
    accuracy: npt.NDArray[np.float64]
    ece: float


def reliability(
    probabilities: npt.NDArray[np.floating[Any]], labels: npt.NDArray[np.int64], bins: int = BINS
) -> Reliability:
    """Sort predictions into the bins `(i / bins, (i + 1) / bins]` by their probability.

    Args:
      probabilities: `[n, genres]`, at least one row.
      labels: int64 `[n]`.
      bins: number of bins.
    """
    predicted = probabilities.argmax(axis=1)
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = (predicted == labels).astype(np.float64)
    place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    some = np.where(counts > 0, counts, np.nan)
    mean_confidence = np.bincount(place, weights=confidence, minlength=bins) / some
    accuracy = np.bincount(place, weights=right, minlength=bins) / some
    gaps = np.nan_to_num(np.abs(mean_confidence - accuracy))
    return Reliability(
        counts, mean_confidence, accuracy, float((gaps * counts).sum() / counts.sum())
    )
