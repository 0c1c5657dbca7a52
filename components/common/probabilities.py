"""The check that numbers are probabilities: not negative, and adding up to 1."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

SUM_TOLERANCE = 1e-3


def are_probabilities(rows: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Return for each row whether its numbers are the probabilities of exclusive classes.

    Args:
      rows: `[rows, classes]`.

    Returns:
      Bool `[rows]`: true where every number is finite and at least 0, and their sum differs
      from 1 by at most SUM_TOLERANCE.
    """
    values: npt.NDArray[np.floating[Any]] = np.asarray(rows, np.float64)
    with np.errstate(invalid="ignore"):  # infinity less infinity
        sums = values.sum(axis=1)
    # Stated positively, so that NaN fails.
    sums_to_one = np.abs(sums - 1) <= SUM_TOLERANCE
    return np.asarray((values >= 0).all(axis=1) & sums_to_one)
