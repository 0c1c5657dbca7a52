"""What the report says of each model: the metrics by split, and each genre's scores."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pandas as pd

from components.predictions import metrics
from components.predictions.metrics import SplitMetrics

Kind = Literal["network", "ensemble", "baseline"]
SPLITS = ("validation", "test")


@dataclasses.dataclass(frozen=True)
class GenreScores:
    """One genre on one split, in tracks.

    `precision` is None where nothing was taken for the genre, `recall` where it has no track,
    `f1` where both hold.
    """

    genre: str
    precision: float | None
    recall: float | None
    f1: float | None
    tracks: int
    predicted: int


@dataclasses.dataclass(frozen=True)
class ModelMeasures:
    """One model. `splits` lacks a split that it was not measured on; `parameters` and
    `train_seconds` are None where they say nothing (an average trains nothing)."""

    name: str
    kind: Kind
    parameters: int | None
    train_seconds: float | None
    splits: Mapping[str, SplitMetrics]


def genre_scores(confusion: Sequence[Sequence[int]], genres: Sequence[str]) -> list[GenreScores]:
    """Precision, recall and F1 of each genre, in label order.

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
    predictions: pd.DataFrame, genres: Sequence[str], selection: Mapping[str, Any]
) -> list[ModelMeasures]:
    """All models of the predictions table, the best on validation first.

    Args:
      predictions: the whole table; one model's rows of one split at a time are looked at.
      genres: in label order.
      selection: the Ensembler's selection.json.
    """
    found: dict[str, dict[str, SplitMetrics]] = {}
    for (name, split), rows in predictions.groupby(["model", "split"], sort=True):
        found.setdefault(name, {})[split] = metrics.evaluate(rows, genres)
    models = [
        ModelMeasures(
            name=name,
            kind=selection["kinds"][name],
            parameters=selection["parameters"].get(name),
            train_seconds=selection["train_seconds"].get(name),
            splits=splits,
        )
        for name, splits in found.items()
    ]
    return sorted(models, key=_validation_first)


def _validation_first(model: ModelMeasures) -> tuple[float, str]:
    validation = model.splits.get("validation")
    return (-(validation.track_accuracy.value if validation else 0.0), model.name)
