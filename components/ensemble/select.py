"""Which of the trained networks becomes the candidate."""

from __future__ import annotations

from collections.abc import Mapping


def choose(track_accuracy: Mapping[str, float], parameters: Mapping[str, int]) -> str:
    """The network with the best validation track accuracy.

    Ties go to fewer parameters, then to the name that sorts first.

    Args:
      track_accuracy: for each network its share of validation tracks that are right.
      parameters: for each network its number of parameters.

    Raises:
      ValueError: there is no network.
    """
    if not track_accuracy:
        raise ValueError("there is no network to choose from")
    return min(track_accuracy, key=lambda name: (-track_accuracy[name], parameters[name], name))
