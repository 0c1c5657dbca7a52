"""Accuracy, recall, F1 and confusion matrix of predictions, with their intervals.

Clips of a track are correlated, and so are tracks of an artist. Intervals of independent clips
would be far too narrow, so whole artists are resampled, as for the gate
(components.predictions.resampling).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from components.predictions import resampling
from components.predictions.correctness import correctness
from components.predictions.interval import ShareInterval
from components.predictions.macro_f1 import TrackPredictions, f1_share
from components.predictions.split_metrics import SplitMetrics
from components.predictions.table import by_track, probability_columns


def evaluate(
    table: pd.DataFrame, genres: Sequence[str], *, resamples: int = resampling.RESAMPLES
) -> SplitMetrics:
    """Evaluate one model on one split.

    Args:
      table: its rows of the predictions table, at least one.
      genres: in label order.
      resamples: number of bootstrap resamples of whole artists; the seed is fixed.
    """
    columns = probability_columns(genres)
    tracks = by_track(table, genres)
    labels = tracks["label"].to_numpy()
    position = pd.Series(range(len(tracks)), index=tracks["track_id"])
    of_track = position[table["track_id"]].to_numpy()
    clips_correct = correctness(table[columns].to_numpy(), table["label"].to_numpy())
    clips = np.bincount(of_track, minlength=len(tracks))
    of_clips = np.bincount(of_track, clips_correct, minlength=len(tracks)) / clips
    answers = TrackPredictions(labels, tracks[columns].to_numpy().argmax(axis=1), len(genres))
    confusion = np.zeros((len(genres), len(genres)), dtype=int)
    np.add.at(confusion, (answers.true, answers.predicted), 1)
    found, total = np.diagonal(confusion), confusion.sum(axis=1)
    groups = resampling.groups_of(tracks["artist_id"].tolist(), tracks["track_id"].tolist())
    by_clip = resampling.share(of_clips, groups, weights=clips, resamples=resamples)
    correct = correctness(tracks[columns].to_numpy(), labels)
    return SplitMetrics(
        clip_accuracy=ShareInterval.of(by_clip),
        track_accuracy=ShareInterval.of(resampling.share(correct, groups, resamples=resamples)),
        macro_f1=ShareInterval.of(f1_share(answers, groups, resamples=resamples)),
        recall={
            genre: float(found[i] / total[i]) if total[i] else None
            for i, genre in enumerate(genres)
        },
        confusion=confusion.tolist(),
        clips=len(table),
        tracks=len(tracks),
    )
