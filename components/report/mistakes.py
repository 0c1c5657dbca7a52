"""Mistakes of a model: genres that it confuses, and the tracks that are hardest for it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pandas as pd

from components.predictions.table import by_track, probability_columns

MAX_PAIRS = 12
MAX_TRACKS = 8


@dataclasses.dataclass(frozen=True)
class ConfusedPair:
    """A pair of genres that a model confuses.

    Attributes:
      true: Genre of the tracks.
      predicted: Genre that the model predicts.
      tracks: Number of such tracks.
      share: Share of the true genre's tracks.
    """

    true: str
    predicted: str
    tracks: int
    share: float


@dataclasses.dataclass(frozen=True)
class HardTrack:
    """A test track whose true genre gets little probability.

    Attributes:
      track_id: Id of the track.
      artist_id: "" where it is unknown.
      label: Index of the true genre.
      clip_index: Clip whose true genre gets the least probability.
      true: The true genre.
      predicted: The predicted genre.
      p_true: Probability of the true genre, the mean over the clips.
      p_predicted: Probability of the predicted genre, the mean over the clips.
      solved_by: Number of other models that predict the true genre.
      models: Number of other models.
    """

    track_id: str
    artist_id: str
    label: int
    clip_index: int
    true: str
    predicted: str
    p_true: float
    p_predicted: float
    solved_by: int
    models: int

    @property
    def right(self) -> bool:
        return self.true == self.predicted


def confused_pairs(
    confusion: Sequence[Sequence[int]], genres: Sequence[str], max_pairs: int = MAX_PAIRS
) -> list[ConfusedPair]:
    """Return the pairs of genres that are confused most often, by tracks, then by share.

    Args:
      confusion: counts of tracks, `[true][predicted]`.
      genres: in label order, which also breaks ties.
      max_pairs: number of pairs at most.
    """
    pairs = [
        ConfusedPair(genres[true], genres[predicted], count, count / sum(row))
        for true, row in enumerate(confusion)
        for predicted, count in enumerate(row)
        if count and predicted != true
    ]
    return sorted(pairs, key=lambda pair: (-pair.tracks, -pair.share))[:max_pairs]


def hardest_tracks(
    test: pd.DataFrame, model: str, genres: Sequence[str], max_tracks: int = MAX_TRACKS
) -> list[HardTrack]:
    """Return the tracks whose true genre gets the least probability, hardest first.

    Args:
      test: rows of the predictions table on the test split, of all models.
      model: name of the model whose mistakes these are.
      genres: in label order.
      max_tracks: number of tracks at most.
    """
    columns = probability_columns(genres)
    own = test[test["model"] == model]
    tracks = by_track(own, genres)
    p = tracks[columns].to_numpy(np.float64)
    labels = tracks["label"].to_numpy()
    p_true = p[np.arange(len(tracks)), labels]
    hardest = np.argsort(p_true, kind="stable")[:max_tracks]
    chosen = tracks.iloc[hardest]
    solved = _right_models(
        test[(test["model"] != model) & test["track_id"].isin(chosen["track_id"])], genres
    )
    others = test["model"].nunique() - 1
    found = []
    for row in hardest:
        track = tracks.iloc[row]
        predicted = int(p[row].argmax())
        clips = own[own["track_id"] == track["track_id"]]
        clip = clips.iloc[int(clips[columns[labels[row]]].to_numpy().argmin())]
        found.append(
            HardTrack(
                track_id=track["track_id"],
                artist_id=track["artist_id"],
                label=int(labels[row]),
                clip_index=int(clip["clip_index"]),
                true=genres[labels[row]],
                predicted=genres[predicted],
                p_true=float(p_true[row]),
                p_predicted=float(p[row, predicted]),
                solved_by=solved.get(track["track_id"], 0),
                models=others,
            )
        )
    return found


def _right_models(rows: pd.DataFrame, genres: Sequence[str]) -> dict[str, int]:
    """Return the number of models that predict the true genre, by track id."""
    right: dict[str, int] = {}
    for _, of_model in rows.groupby("model", sort=True):
        tracks = by_track(of_model, genres)
        predicted = tracks[probability_columns(genres)].to_numpy().argmax(axis=1)
        for track_id in tracks["track_id"][predicted == tracks["label"].to_numpy()]:
            right[track_id] = right.get(track_id, 0) + 1
    return right
