"""Where a model is wrong: which genres it takes for which, and the tracks it finds hardest."""

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
    """So many tracks of genre `true`, which is `share` of them, were taken for `predicted`."""

    true: str
    predicted: str
    tracks: int
    share: float


@dataclasses.dataclass(frozen=True)
class HardTrack:
    """A test track that the model gave its own genre little probability.

    `clip_index` is the clip with the least of it; `solved_by` of `models` other models name
    its genre.
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
    confusion: Sequence[Sequence[int]], genres: Sequence[str], most: int = MAX_PAIRS
) -> list[ConfusedPair]:
    """The pairs of genres that are mixed up most often, by tracks, then by share.

    Args:
      confusion: counts of tracks, `[true][predicted]`.
      genres: in label order, which also breaks ties.
      most: how many pairs at most.
    """
    pairs = [
        ConfusedPair(genres[true], genres[predicted], count, count / sum(row))
        for true, row in enumerate(confusion)
        for predicted, count in enumerate(row)
        if count and predicted != true
    ]
    return sorted(pairs, key=lambda pair: (-pair.tracks, -pair.share))[:most]


def hardest_tracks(
    test: pd.DataFrame, model: str, genres: Sequence[str], most: int = MAX_TRACKS
) -> list[HardTrack]:
    """The tracks whose own genre the model gives the least probability, hardest first.

    Args:
      test: the predictions table's rows of the test split, of all models.
      model: whose mistakes these are.
      genres: in label order.
      most: how many at most.
    """
    columns = probability_columns(genres)
    own = test[test["model"] == model]
    tracks = by_track(own, genres)
    p = tracks[columns].to_numpy(np.float64)
    labels = tracks["label"].to_numpy()
    p_true = p[np.arange(len(tracks)), labels]
    hardest = np.argsort(p_true, kind="stable")[:most]
    chosen = tracks.iloc[hardest]
    solved = _right_models(
        test[(test["model"] != model) & test["track_id"].isin(chosen["track_id"])], genres
    )
    others = test["model"].nunique() - 1
    found = []
    for row in hardest:
        track = tracks.iloc[row]
        named = int(p[row].argmax())
        clips = own[own["track_id"] == track["track_id"]]
        clip = clips.iloc[int(clips[columns[labels[row]]].to_numpy().argmin())]
        found.append(
            HardTrack(
                track_id=track["track_id"],
                artist_id=track["artist_id"],
                label=int(labels[row]),
                clip_index=int(clip["clip_index"]),
                true=genres[labels[row]],
                predicted=genres[named],
                p_true=float(p_true[row]),
                p_predicted=float(p[row, named]),
                solved_by=solved.get(track["track_id"], 0),
                models=others,
            )
        )
    return found


def _right_models(rows: pd.DataFrame, genres: Sequence[str]) -> dict[str, int]:
    """How many models name the right genre, for each track of these rows."""
    right: dict[str, int] = {}
    for _, of_model in rows.groupby("model", sort=True):
        tracks = by_track(of_model, genres)
        named = tracks[probability_columns(genres)].to_numpy().argmax(axis=1)
        for track_id in tracks["track_id"][named == tracks["label"].to_numpy()]:
            right[track_id] = right.get(track_id, 0) + 1
    return right
