"""Lookup of the serving model: the last pushed model that still exists."""

from __future__ import annotations

from typing import Any

from tfx.dsl.components.common.resolver import ResolverStrategy

from components.artifacts import files
from components.common.model_contract import SAVED_MODEL


class ServingModelStrategy(ResolverStrategy):  # type: ignore[misc]
    """Resolver of PushedModel to the latest with `pushed` = 1 whose push destination exists.

    TFX's "latest blessed" would be wrong: ServingCheck may have refused a blessed model
    afterwards, and a version that was deleted serves no one.
    """

    def resolve_artifacts(
        self, store: Any, input_dict: dict[str, list[Any]]
    ) -> dict[str, list[Any]]:
        """Return for each key the serving model, or an empty list."""
        return {key: _serving(artifacts)[:1] for key, artifacts in input_dict.items()}


def _serving(artifacts: list[Any]) -> list[Any]:
    return [
        artifact
        for artifact in sorted(artifacts, key=lambda a: a.id, reverse=True)
        if artifact.get_int_custom_property("pushed") == 1
        and files.matching(artifact.get_string_custom_property("pushed_destination"), SAVED_MODEL)
    ]
