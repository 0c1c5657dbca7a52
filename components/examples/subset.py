"""Balanced subsets of examples, in a module of their own that needs no TensorFlow."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def balanced_subset(labels: npt.NDArray[np.int64], limit: int, seed: int) -> npt.NDArray[np.int64]:
    """Choose at most `limit` examples, with labels as equal in number as possible.

    The labels give one example in turn, in a random order, until the limit is reached. A label
    that has no more examples is skipped.

    Args:
      labels: int64 `[examples]`.
      limit: number of examples to choose.
      seed: seed of the random order.

    Returns:
      The ascending positions of the chosen examples, int64.
    """
    shuffled = np.random.default_rng(seed % 2**64).permutation(len(labels))
    turn = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        of_label = shuffled[labels[shuffled] == label]
        turn[of_label] = np.arange(len(of_label))
    by_turn = shuffled[np.argsort(turn[shuffled], kind="stable")]
    return np.sort(by_turn[:limit])
