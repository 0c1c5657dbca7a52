"""Averages of several models' probabilities, and weights that are fitted on validation.

Pure functions on arrays. A track's probabilities are the mean over its clips, so models can be
averaged before or after that mean with the same result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Probabilities = npt.NDArray[np.floating[Any]]

# Lower bound, so that a model that gives the true genre a probability of 0 does not make the
# likelihood zero.
_MIN_PROBABILITY = 1e-9
_TOLERANCE = 1e-10
_MAX_ROUNDS = 100_000


def average(
    members: Sequence[Probabilities], weights: Sequence[float] | None = None
) -> npt.NDArray[np.float32]:
    """Return the plain or weighted mean of several models' probabilities.

    Args:
      members: `[clips, genres]` each, of the same clips in the same order.
      weights: one per member, not negative, adding up to 1; None for the plain mean.

    Raises:
      ValueError: there are no members, their shapes differ, or the weights are invalid.
    """
    stacked = _stacked(members)
    if weights is None:
        return np.asarray(stacked.mean(axis=0), np.float32)
    shares = np.asarray(weights, np.float64)
    # Stated positively, so that NaN fails.
    are_shares = (shares >= 0).all() and abs(shares.sum() - 1) <= 1e-6
    if shares.shape != (len(stacked),) or not are_shares:
        raise ValueError(
            f"weights {list(weights)}: expected {len(stacked)} shares that add up to 1"
        )
    return np.asarray(np.tensordot(shares, stacked, axes=1), np.float32)


def likeliest_weights(
    members: Mapping[str, Probabilities], labels: npt.NDArray[np.integer[Any]]
) -> dict[str, float]:
    """Return the weights whose average maximises the likelihood of the true labels.

    The log-likelihood of a mixture is concave in its weights, so it has one maximum.
    Expectation maximisation (Dempster, Laird & Rubin 1977) reaches it from equal weights,
    without a step size and without randomness. Models that add nothing end near zero.

    Args:
      members: for each model its probabilities on validation, `[tracks, genres]`.
      labels: true genres, int `[tracks]`.

    Returns:
      A weight for each model; they add up to 1.

    Raises:
      ValueError: there are no members or no tracks, or shapes differ.
    """
    names = sorted(members)
    stacked = _stacked([members[name] for name in names])
    if not len(labels) or stacked.shape[1] != len(labels):
        raise ValueError(f"{stacked.shape[1]} rows of probabilities for {len(labels)} labels")
    # Probability of the true genre, [models, tracks].
    of_truth = np.maximum(stacked[:, np.arange(len(labels)), labels], _MIN_PROBABILITY)
    shares = np.full(len(names), 1 / len(names))
    for _ in range(_MAX_ROUNDS):
        gains = (of_truth / (shares @ of_truth)).mean(axis=1)
        # At the maximum no gain exceeds 1. Its excess bounds the remaining improvement.
        if gains.max() - 1 < _TOLERANCE:
            break
        shares = shares * gains
    shares = shares / shares.sum()
    return {name: float(share) for name, share in zip(names, shares, strict=True)}


def _stacked(members: Sequence[Probabilities]) -> npt.NDArray[np.float64]:
    shapes = {np.shape(member) for member in members}
    if len(shapes) != 1 or len(next(iter(shapes))) != 2:
        raise ValueError(f"members must have the same shape [rows, genres], got {shapes}")
    return np.stack([np.asarray(member, np.float64) for member in members])
