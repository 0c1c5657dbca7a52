"""Answers of the page: predictions as JSON values, and as lines of a CSV table."""

from __future__ import annotations

import csv
import dataclasses
import io
from typing import Any

from components.common.escape import printable_cell
from serving.model.prediction import Prediction
from serving.model.prediction_json import as_json

CSV_COLUMNS = ("file", "version", "start_s", "end_s", "genre", "probability")


def answer(prediction: Prediction, name: str, choice: str, facts: dict[str, Any]) -> dict[str, Any]:
    """Return one version's prediction as JSON values.

    Args:
      prediction: the prediction.
      name: the song's name.
      choice: the version as it was chosen, such as "newest".
      facts: facts about the version that answered; its card is left out.
    """
    model = {key: value for key, value in facts.items() if key != "card"}
    named = dataclasses.replace(prediction, path=name)
    values = as_json(named, 0, timeline=True, synthetic=bool(facts["is_synthetic"]))
    return {"choice": choice, "model": model, **values}


def csv_lines(prediction: Prediction, name: str, facts: dict[str, Any]) -> str:
    """Return the CSV lines of one version's prediction, without CSV_COLUMNS at the head.

    The first lines are of the whole song; the others of each window. No cell is a formula to a
    spreadsheet, and none holds an unprintable character.
    """
    text = io.StringIO()
    write = csv.writer(text).writerow
    version = facts["version"] if facts["version"] is not None else ""

    def row(start_s: float, end_s: float, genre: str, probability: float) -> None:
        times = (round(start_s, 3), round(end_s, 3))
        write((printable_cell(name), version, *times, printable_cell(genre), f"{probability:.6f}"))

    for genre, probability in prediction.probabilities.items():
        row(0.0, prediction.seconds, genre, probability)
    clip_s = prediction.clip_seconds
    for index, (left_out, probabilities) in enumerate(
        zip(prediction.left_out, prediction.window_probabilities, strict=True)
    ):
        if not left_out:
            for genre, probability in zip(prediction.genres, probabilities, strict=True):
                row(index * clip_s, (index + 1) * clip_s, genre, float(probability))
    return text.getvalue()
