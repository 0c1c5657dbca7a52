"""A retried step inherits the folders of the attempt that died: start from empty ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from components.artifacts.files import empty_folder


def empty_outputs(output_dict: Mapping[str, Iterable[Any]]) -> None:
    """Deletes whatever lies in the folders of a component's output artifacts."""
    for artifacts in output_dict.values():
        for artifact in artifacts:
            empty_folder(artifact.uri)
