"""Genre over time: a recording's windows, neighbours of the same genre joined."""

from __future__ import annotations

import dataclasses
import itertools

from serving.model.prediction import Prediction


@dataclasses.dataclass(frozen=True)
class Stretch:
    """From `start_s` to `end_s` the likeliest genre of every window is `genre`, with this
    mean probability."""

    start_s: float
    end_s: float
    genre: str
    probability: float


def stretches(prediction: Prediction) -> list[Stretch]:
    """The whole windows of a recording in order; equal probabilities fall to label order."""
    matrix, clip_s = prediction.window_probabilities, prediction.clip_seconds
    found = []
    for label, group in itertools.groupby(range(len(matrix)), matrix.argmax(axis=1).__getitem__):
        windows = list(group)
        found.append(
            Stretch(
                start_s=windows[0] * clip_s,
                end_s=(windows[-1] + 1) * clip_s,
                genre=prediction.genres[label],
                probability=float(matrix[windows, label].mean(dtype=float)),
            )
        )
    return found
