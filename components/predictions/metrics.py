"""Accuracy, recall, F1 and confusion matrix of predictions, with bootstrap intervals by track.

Clips of a track are correlated, so an interval from resampled clips is far too narrow. Whole
tracks are resampled instead (Efron & Tibshirani 1993, the percentile method).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from components.predictions.correctness import correctness
from components.predictions.interval import ShareInterval
from components.predictions.split_metrics import SplitMetrics
from components.predictions.table import by_track, probability_columns

RESAMPLES = 2000
SEED = 20170101


def macro_f1(confusion: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the mean F1 over the genres that occur, as true or predicted ones.

    Args:
      confusion: number of tracks, `[..., true, predicted]`.

    Returns:
      `[...]`.
    """
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    seen = confusion.sum(axis=-1) + confusion.sum(axis=-2)
    f1 = 2 * hits / np.maximum(seen, 1)
    return f1.sum(axis=-1) / np.maximum((seen > 0).sum(axis=-1), 1)


def evaluate(
    table: pd.DataFrame, genres: Sequence[str], *, resamples: int = RESAMPLES
) -> SplitMetrics:
    """Evaluate one model on one split.

    Args:
      table: its rows of the predictions table, at least one.
      genres: in label order.
      resamples: number of bootstrap resamples of whole tracks; the seed is fixed.
    """
    columns = probability_columns(genres)
    tracks = by_track(table, genres)
    position = pd.Series(range(len(tracks)), index=tracks["track_id"])
    of_track = position[table["track_id"]].to_numpy()
    clips_correct = correctness(table[columns].to_numpy(), table["label"].to_numpy())
    tracks_correct = correctness(tracks[columns].to_numpy(), tracks["label"].to_numpy())
    correct = np.bincount(of_track, clips_correct, minlength=len(tracks))
    clips = np.bincount(of_track, minlength=len(tracks))
    confusion = np.zeros((len(tracks), len(genres), len(genres)))
    predicted = tracks[columns].to_numpy().argmax(axis=1)
    confusion[np.arange(len(tracks)), tracks["label"].to_numpy(), predicted] = 1
    weights = _resample_weights(len(tracks), resamples)
    whole = confusion.sum(axis=0)
    track_resampled = np.tensordot(weights, confusion, axes=1)
    found, total = np.diagonal(whole), whole.sum(axis=1)
    return SplitMetrics(
        clip_accuracy=_interval(clips_correct.mean(), (weights @ correct) / (weights @ clips)),
        track_accuracy=_interval(tracks_correct.mean(), (weights @ tracks_correct) / len(tracks)),
        macro_f1=_interval(macro_f1(whole), macro_f1(track_resampled)),
        recall={
            genre: float(found[i] / total[i]) if total[i] else None
            for i, genre in enumerate(genres)
        },
        confusion=whole.astype(int).tolist(),
        clips=len(table),
        tracks=len(tracks),
    )


def _resample_weights(tracks: int, resamples: int) -> npt.NDArray[np.float64]:
    """Return how often each track is drawn in each resample, `[resamples, tracks]`."""
    rng = np.random.default_rng(SEED)
    return rng.multinomial(tracks, np.full(tracks, 1 / tracks), size=resamples).astype(float)


def _interval(value: npt.NDArray[np.float64], samples: npt.NDArray[np.float64]) -> ShareInterval:
    low, high = np.percentile(samples, [2.5, 97.5])
    return ShareInterval(float(value), float(low), float(high))
