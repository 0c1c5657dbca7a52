"""Which of the models becomes the candidate, and which baseline it has to beat."""

from __future__ import annotations

import math
from collections.abc import Mapping


def choose(track_accuracy: Mapping[str, float], parameters: Mapping[str, int | None]) -> str:
    """The model with the best validation track accuracy.

    Ties go to fewer parameters (unknown is most), then to the name that sorts first.

    Args:
      track_accuracy: for each model its share of validation tracks that are right.
      parameters: for each model its number of parameters.

    Raises:
      ValueError: there is no model.
    """
    if not track_accuracy:
        raise ValueError("there is no network to choose from")

    def rank(name: str) -> tuple[float, float, str]:
        size = parameters[name]
        return -track_accuracy[name], math.inf if size is None else size, name

    return min(track_accuracy, key=rank)
