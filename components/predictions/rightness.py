"""How far a model is right on a track, where equal probabilities are no luck of order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from components.predictions.table import by_track, probability_columns

# What float32 leaves uncertain in a mean over clips, with room: k-NN and forests vote in
# steps, so tracks with two best genres are common, and noise would choose between them.
TIE = 1e-6


def rightness(
    probabilities: npt.NDArray[np.float32] | npt.NDArray[np.float64], labels: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """1 where the label alone has the highest probability, 0 where another has; 1 / k where
    the label is one of k genres that share it, which is what guessing among them reaches.

    Args:
      probabilities: `[tracks, genres]`.
      labels: true genres, `[tracks]`.
    """
    values = np.asarray(probabilities, dtype=np.float64)
    best = values >= values.max(axis=1, keepdims=True) - TIE
    chosen = best[np.arange(len(values)), labels]
    right: npt.NDArray[np.float64] = np.where(chosen, 1 / best.sum(axis=1), 0.0)
    return right


def right_by_track(table: pd.DataFrame, genres: Sequence[str]) -> pd.DataFrame:
    """Tracks with how far their mean probabilities are right.

    Args:
      table: rows of one model and one split of the predictions table.
      genres: in label order.

    Returns:
      `track_id`, `artist_id`, `label`, `right`, sorted by track id.
    """
    tracks = by_track(table, genres)
    right = rightness(tracks[probability_columns(genres)].to_numpy(), tracks["label"].to_numpy())
    return tracks[["track_id", "artist_id", "label"]].assign(right=right)
