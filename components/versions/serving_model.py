"""Lookup of the serving model: the pushed model whose files the newest version holds."""

from __future__ import annotations

import os
from typing import Any

from tfx.dsl.components.common.resolver import ResolverStrategy

from components.common.errors import DataError
from components.versions.folder import list_versions
from components.versions.record import read_record


class ServingModelStrategy(ResolverStrategy):  # type: ignore[misc]
    """Resolver of PushedModel to the one that serves.

    Servers serve the newest complete version. It may be a copy of an earlier one, after a
    rollback. If the newest was not pushed from this metadata store, the latest that was and still
    exists counts.

    TFX's "latest blessed" would be wrong: ServingCheck may have refused a blessed model
    afterwards, and a version that was deleted serves no one.
    """

    def resolve_artifacts(
        self, store: Any, input_dict: dict[str, list[Any]]
    ) -> dict[str, list[Any]]:
        """Return for each key the serving model, or an empty list."""
        return {key: _serving(artifacts) for key, artifacts in input_dict.items()}


def _serving(artifacts: list[Any]) -> list[Any]:
    pushed = [
        artifact
        for artifact in sorted(artifacts, key=lambda a: a.id, reverse=True)
        if artifact.get_int_custom_property("pushed") == 1
    ]
    existing: dict[str, list[int]] = {}
    for artifact in pushed:
        models, number = _place(artifact)
        if models not in existing:
            existing[models] = _complete(models)
        if models == _place(pushed[0])[0] and existing[models]:
            newest = _origin(models, existing[models][-1])
            found = [one for one in pushed if _place(one) == (models, newest)]
            if found:
                return found[:1]
        if number in existing[models]:
            return [artifact]
    return []


def _place(artifact: Any) -> tuple[str, int]:
    """Return the folder that a model was pushed to, and its version there."""
    destination = artifact.get_string_custom_property("pushed_destination").rstrip("/")
    models, name = os.path.split(destination)
    return models, int(name) if name.isdecimal() else -1


def _complete(models: str) -> list[int]:
    return [version.number for version in list_versions(models).values() if version.is_complete]


def _origin(models: str, number: int) -> int:
    """Return the version that was pushed with the files of another."""
    try:
        record = read_record(os.path.join(models, str(number)))
    except DataError:
        return number
    return record.origin if record else number
