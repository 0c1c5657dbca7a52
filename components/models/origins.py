"""Origin of a network's starting weights, for model cards and reports. Light."""

from __future__ import annotations

import pathlib

from components.models.architectures import NETWORKS
from components.models.published import Published


def origin(architecture: str, weights: str) -> dict[str, str] | None:
    """Return what is known of the weights that a network starts from.

    Args:
      architecture: a key of NETWORKS.
      weights: its `weights` setting.

    Returns:
      `weights`, the name of published weights or of a file; and of published ones `trained_on`,
      `licence` and `paper`. A path to a copy of published files gives the same as their name.
      None for random weights.
    """
    if weights == "none":
        return None
    made = NETWORKS[architecture]
    files = made.weights_files(weights)
    for name, published in made.published.items():
        if name == weights or (files and _are_copies(files, published)):
            return {
                "weights": name,
                "trained_on": published.trained_on,
                "licence": published.licence,
                "paper": published.paper,
            }
    return {"weights": pathlib.Path(weights).name}


def _are_copies(files: list[pathlib.Path], published: Published) -> bool:
    """Return whether files have the published checksums, in the same order."""
    return len(files) == len(published.files) and all(
        expected.is_at(path) for path, expected in zip(files, published.files, strict=True)
    )
