"""Predictions as JSON values, for `genreflow predict --json` and the web page."""

from __future__ import annotations

import collections
from typing import Any

from components.audio import levels
from serving.model.prediction import Prediction


def as_json(
    prediction: Prediction, top: int, *, timeline: bool, synthetic: bool
) -> dict[str, object]:
    """Return a prediction as JSON values.

    Args:
      prediction: the prediction.
      top: number of genres to show; 0 for all.
      timeline: whether to add the genre over time.
      synthetic: whether the model was trained on synthetic data.
    """
    values: dict[str, object] = {
        "file": prediction.path,
        "seconds": round(prediction.seconds, 3),
        "windows": prediction.windows,
        "windows_left_out": left_out_counts(prediction),
        "warnings": list(prediction.warnings),
        "model_trained_on_synthetic_data": synthetic,
        "probabilities": {
            genre: round(probability, 6)
            for genre, probability in top_probabilities(prediction, top).items()
        },
    }
    return {**values, **_timeline_json(prediction)} if timeline else values


def top_probabilities(prediction: Prediction, top: int) -> dict[str, float]:
    """Return the most probable genres, at most `top`, or all for 0."""
    genres = list(prediction.probabilities.items())
    return dict(genres[:top] if top else genres)


def left_out_counts(prediction: Prediction) -> dict[str, int]:
    """Return the number of windows that are left out, by reason."""
    counts = collections.Counter(prediction.left_out)
    return {reason: counts[reason] for reason in levels.REASONS if reason and counts[reason]}


def _timeline_json(prediction: Prediction) -> dict[str, Any]:
    clip_s = prediction.clip_seconds
    return {
        "timeline": [
            {
                "start_s": round(segment.start_s, 3),
                "end_s": round(segment.end_s, 3),
                "genre": segment.genre,
                "probability": _rounded(segment.probability),
                "left_out": segment.left_out or None,
            }
            for segment in prediction.timeline()
        ],
        "window_probabilities": [
            {
                "start_s": round(index * clip_s, 3),
                "end_s": round((index + 1) * clip_s, 3),
                "probabilities": None
                if left_out
                else {
                    genre: round(float(probability), 6)
                    for genre, probability in zip(prediction.genres, row, strict=True)
                },
                "left_out": left_out or None,
            }
            for index, (row, left_out) in enumerate(
                zip(prediction.window_probabilities, prediction.left_out, strict=True)
            )
        ],
    }


def _rounded(probability: float | None) -> float | None:
    return None if probability is None else round(probability, 6)
