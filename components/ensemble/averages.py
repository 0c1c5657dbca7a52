"""Averages of what several models predict, and weights for them that validation chooses.

Pure: arrays in, arrays out. A track's probabilities are the mean over its clips, so
averaging models before or after that mean is the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Probabilities = npt.NDArray[np.floating[Any]]

# A model that gives the true genre no chance at all must not make the likelihood zero.
_MIN_PROBABILITY = 1e-9
_TOLERANCE = 1e-10
_MAX_ROUNDS = 100_000


def average(
    members: Sequence[Probabilities], weights: Sequence[float] | None = None
) -> npt.NDArray[np.float32]:
    """The mean of several models' probabilities, plain or weighted.

    Args:
      members: `[clips, genres]` each, of the same clips in the same order.
      weights: not negative, adding up to 1; None for the plain mean.

    Raises:
      ValueError: no members, shapes that differ, or weights that are none.
    """
    stacked = _stacked(members)
    if weights is None:
        return np.asarray(stacked.mean(axis=0), np.float32)
    shares = np.asarray(weights, np.float64)
    # Stated positively, so that NaN fails.
    are_shares = (shares >= 0).all() and abs(shares.sum() - 1) <= 1e-6
    if shares.shape != (len(stacked),) or not are_shares:
        raise ValueError(f"weights {list(weights)}: need {len(stacked)} shares adding up to 1")
    return np.asarray(np.tensordot(shares, stacked, axes=1), np.float32)


def likeliest_weights(
    members: Mapping[str, Probabilities], labels: npt.NDArray[np.integer[Any]]
) -> dict[str, float]:
    """The weights whose average gives the true labels the greatest likelihood.

    The log-likelihood of a mixture is concave in its shares, so there is one best value and
    expectation maximisation (Dempster, Laird & Rubin 1977) climbs to it from equal shares,
    without a step size and without chance. Models that add nothing end near zero.

    Args:
      members: for each model `[tracks, genres]` of the validation split.
      labels: int `[tracks]`.

    Returns:
      A share for each model, adding up to 1.

    Raises:
      ValueError: no members, no tracks, or shapes that differ.
    """
    names = sorted(members)
    stacked = _stacked([members[name] for name in names])
    if not len(labels) or stacked.shape[1] != len(labels):
        raise ValueError(f"{stacked.shape[1]} rows of probabilities for {len(labels)} labels")
    # [models, tracks]: what each model gave the truth.
    of_truth = np.maximum(stacked[:, np.arange(len(labels)), labels], _MIN_PROBABILITY)
    shares = np.full(len(names), 1 / len(names))
    for _ in range(_MAX_ROUNDS):
        gains = (of_truth / (shares @ of_truth)).mean(axis=1)
        # At the best value no model's gain exceeds 1, and it bounds what is left to win.
        if gains.max() - 1 < _TOLERANCE:
            break
        shares = shares * gains
    shares = shares / shares.sum()
    return {name: float(share) for name, share in zip(names, shares, strict=True)}


def _stacked(members: Sequence[Probabilities]) -> npt.NDArray[np.float64]:
    shapes = {np.shape(member) for member in members}
    if len(shapes) != 1 or len(next(iter(shapes))) != 2:
        raise ValueError(f"an average needs members of one shape [rows, genres], got {shapes}")
    return np.stack([np.asarray(member, np.float64) for member in members])
