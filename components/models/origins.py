"""Origin of a network's starting weights, for model cards and reports. Light."""

from __future__ import annotations

import hashlib
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
    if len(files) != len(published.files) or not all(file.digest for file in published.files):
        return False
    return all(
        _digest(path, expected.algorithm) == expected.digest
        for path, expected in zip(files, published.files, strict=True)
    )


def _digest(path: pathlib.Path, algorithm: str) -> str:
    digest = hashlib.new(algorithm.replace("-", ""))
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
