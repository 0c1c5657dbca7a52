"""Scores of models on the test tracks, from a predictions table that is checked first.

The table must hold probabilities for this run's genres and for exactly the test clips of the
examples. Imports no TFX.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from components.common.errors import DataError
from components.common.escape import printable
from components.predictions import resampling
from components.predictions.correctness import correctness_by_track
from components.predictions.interval import Interval
from components.predictions.table import CLIP_KEYS, TEST, check_probabilities

_DIGEST_DIGITS = 16


@dataclasses.dataclass(frozen=True)
class Scores:
    """Correctness of several models on each test track.

    Attributes:
      track_ids: sorted.
      labels: true genres, `[tracks]`.
      groups: the group of each track (resampling.groups_of), `[tracks]`.
      correctness: for each model its correctness on each track, 0 to 1, `[tracks]`.
    """

    track_ids: tuple[str, ...]
    labels: npt.NDArray[np.int64]
    groups: npt.NDArray[np.int64]
    correctness: Mapping[str, npt.NDArray[np.float64]]

    def recall(self, model: str, genres: Sequence[str]) -> dict[str, Interval | None]:
        """Return a model's recall of each genre; None for a genre without tracks.

        Args:
          model: its name.
          genres: in label order.
        """
        correct = self.correctness[model]
        of_genre = {genre: self.labels == label for label, genre in enumerate(genres)}
        return {
            genre: resampling.share(correct[mask], self.groups[mask]) if mask.any() else None
            for genre, mask in of_genre.items()
        }

    def tracks(self, genres: Sequence[str]) -> dict[str, int]:
        """Return the number of tracks of each genre."""
        counts = np.bincount(self.labels, minlength=len(genres))
        return {genre: int(count) for genre, count in zip(genres, counts, strict=True)}


def split_digest(track_ids: Iterable[str]) -> str:
    """Return 16 hex digits that identify a test split by its tracks."""
    text = json.dumps(sorted(track_ids))
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_DIGITS]


def read_scores(
    table: pd.DataFrame, clips: pd.DataFrame, genres: Sequence[str], models: Iterable[str]
) -> Scores:
    """Return the scores of some models on the test split.

    Args:
      table: the predictions of all models on all splits.
      clips: the examples' test clips: track_id, artist_id, clip_index, label.
      genres: in label order.
      models: names of the models, at least one.

    Raises:
      DataError: the table is for other genres or other clips, has numbers that are not
        probabilities, or lacks a model.
    """
    check_probabilities(table, genres)
    wanted = _in_order(clips)
    labels = wanted["label"].to_numpy()
    if len(labels) and not ((labels >= 0) & (labels < len(genres))).all():
        raise DataError(
            f"the test examples have labels outside the {len(genres)} genres; rerun the pipeline"
        )
    correctness: dict[str, npt.NDArray[np.float64]] = {}
    tracks = None
    for model in dict.fromkeys(models):
        rows = table[(table["model"] == model) & (table["split"] == TEST)]
        if rows.empty:
            raise DataError(
                f"the predictions have no test rows of {printable(model)}; rerun the pipeline"
            )
        _check_clips(model, _in_order(rows), wanted)
        tracks = correctness_by_track(rows, genres)
        correctness[model] = tracks["correctness"].to_numpy()
    if tracks is None:
        raise DataError("no model to read the scores of")
    return Scores(
        tuple(tracks["track_id"]),
        tracks["label"].to_numpy(),
        resampling.groups_of(tracks["artist_id"].tolist(), tracks["track_id"].tolist()),
        correctness,
    )


def _check_clips(model: str, rows: pd.DataFrame, wanted: pd.DataFrame) -> None:
    if rows.equals(wanted):
        return
    found, expected = set(rows["track_id"]), set(wanted["track_id"])
    raise DataError(
        f"the predictions of {printable(model)} are not of this run's test clips: they have "
        f"{len(rows)} rows of {len(found)} tracks, the examples have {len(wanted)} rows of "
        f"{len(expected)} tracks, and {len(found & expected)} tracks are in both (if the "
        "counts agree, clips, artists or labels differ); rerun the pipeline"
    )


def _in_order(clips: pd.DataFrame) -> pd.DataFrame:
    keys = clips[list(CLIP_KEYS)].astype({"clip_index": "int64", "label": "int64"})
    return keys.sort_values(["track_id", "clip_index"], kind="stable", ignore_index=True)
