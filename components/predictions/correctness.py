"""Correctness of predictions, in which a tie counts as guessing among the tied genres."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from components.predictions.table import by_track, probability_columns

# Above the float32 rounding of a mean over clips. k-NN and forests vote in steps, so ties are
# common, and rounding must not decide them.
TIE = 1e-6


def correctness(
    probabilities: npt.NDArray[np.float32] | npt.NDArray[np.float64], labels: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Return how correct each row is, 0 to 1.

    A row counts 1 if its label alone has the highest probability and 0 if it has not. If k
    genres share the highest probability and the label is one of them, the row counts 1 / k,
    the expected result of guessing among them.

    Args:
      probabilities: `[rows, genres]`.
      labels: true genres, `[rows]`.

    Returns:
      float64 `[rows]`.
    """
    values = np.asarray(probabilities, dtype=np.float64)
    best = values >= values.max(axis=1, keepdims=True) - TIE
    chosen = best[np.arange(len(values)), labels]
    correct: npt.NDArray[np.float64] = np.where(chosen, 1 / best.sum(axis=1), 0.0)
    return correct


def correctness_by_track(table: pd.DataFrame, genres: Sequence[str]) -> pd.DataFrame:
    """Return how correct the mean probabilities of each track are.

    Args:
      table: rows of one model and one split of the predictions table.
      genres: in label order.

    Returns:
      `track_id`, `artist_id`, `label`, `correctness`, sorted by track id.
    """
    tracks = by_track(table, genres)
    probabilities = tracks[probability_columns(genres)].to_numpy()
    values = correctness(probabilities, tracks["label"].to_numpy())
    return tracks[["track_id", "artist_id", "label"]].assign(correctness=values)
