"""Measures of each model for the report: metrics by split, and scores by genre."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import pandas as pd

from components.predictions import metrics
from components.predictions.selection import ModelKind, Selection
from components.predictions.split_metrics import SplitMetrics


@dataclasses.dataclass(frozen=True)
class GenreScores:
    """Scores of one genre on one split.

    Attributes:
      genre: Its name.
      precision: None where no track is predicted as the genre.
      recall: None where the genre has no track.
      f1: None where both hold.
      tracks: Number of the genre's tracks.
      predicted: Number of tracks that are predicted as the genre.
    """

    genre: str
    precision: float | None
    recall: float | None
    f1: float | None
    tracks: int
    predicted: int


@dataclasses.dataclass(frozen=True)
class ModelMeasures:
    """Measures of one model.

    Attributes:
      name: Name of the model.
      kind: Kind of model.
      parameters: Number of weights; None for a model without weights to count.
      train_seconds: None for a model that is not trained, such as an average.
      splits: By split; a split that the model was not measured on is absent.
    """

    name: str
    kind: ModelKind
    parameters: int | None
    train_seconds: float | None
    splits: Mapping[str, SplitMetrics]


def genre_scores(confusion: Sequence[Sequence[int]], genres: Sequence[str]) -> list[GenreScores]:
    """Return precision, recall and F1 of each genre, in label order.

    Args:
      confusion: counts of tracks, `[true][predicted]`.
      genres: in label order.
    """
    scores = []
    for label, genre in enumerate(genres):
        hits = confusion[label][label]
        tracks = sum(confusion[label])
        predicted = sum(row[label] for row in confusion)
        scores.append(
            GenreScores(
                genre=genre,
                precision=hits / predicted if predicted else None,
                recall=hits / tracks if tracks else None,
                f1=2 * hits / (tracks + predicted) if tracks + predicted else None,
                tracks=tracks,
                predicted=predicted,
            )
        )
    return scores


def measure(
    predictions: pd.DataFrame, genres: Sequence[str], selection: Selection
) -> list[ModelMeasures]:
    """Measure all models of the predictions table; return the best on validation first.

    Args:
      predictions: the whole table.
      genres: in label order.
      selection: the Ensembler's choices.
    """
    found: dict[str, dict[str, SplitMetrics]] = {}
    for (name, split), rows in predictions.groupby(["model", "split"], sort=True):
        found.setdefault(name, {})[split] = metrics.evaluate(rows, genres)
    models = [
        ModelMeasures(
            name=name,
            kind=selection.kinds[name],
            parameters=selection.parameters.get(name),
            train_seconds=selection.train_seconds.get(name),
            splits=splits,
        )
        for name, splits in found.items()
    ]
    return sorted(models, key=_validation_first)


def _validation_first(model: ModelMeasures) -> tuple[float, str]:
    validation = model.splits.get("validation")
    return (-(validation.track_accuracy.value if validation else 0.0), model.name)
