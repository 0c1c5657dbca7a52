"""Fewer examples than there are, chosen by label and seed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def balanced_subset(labels: npt.NDArray[np.int64], limit: int, seed: int) -> npt.NDArray[np.int64]:
    """Positions of at most `limit` examples, ascending: as many of each label as can be.

    Every label gives one example in turn, in an order drawn from the seed, until the
    limit is reached; labels that run out leave their turns to the others.
    """
    shuffled = np.random.default_rng(seed % 2**64).permutation(len(labels))
    turn = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        of_label = shuffled[labels[shuffled] == label]
        turn[of_label] = np.arange(len(of_label))
    by_turn = shuffled[np.argsort(turn[shuffled], kind="stable")]
    return np.sort(by_turn[:limit])
