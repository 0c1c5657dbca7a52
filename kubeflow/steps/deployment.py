"""Outcome of a run's deployment, `deployment.json`, which the step Deploy leaves for the last step.

{"version": "17", "model_uri": "s3://...", "registry": {"ok": true, "text": "registered as ..."},
"serving": {"ok": false, "text": "InferenceService ... is not ready ..."}}; the last two only if
they were asked for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from components.artifacts import files as artifact_files
from components.common.errors import GenreflowError
from components.storage.uri import join
from pipeline.process import failures

FILE = "deployment.json"
_PARTS = {"registry": "the Model Registry", "serving": "KServe"}


def write(folder: str, outcome: Mapping[str, Any]) -> None:
    """Write the file into a run's folder, completely or not at all."""
    artifact_files.write_text(join(folder, FILE), json.dumps(outcome, indent=2, sort_keys=True))


def lines(folder: str) -> list[str]:
    """Return what the last step says of the deployment; [] if there was none."""
    try:
        if not artifact_files.matching(folder, FILE):
            return []
        return _lines(json.loads(artifact_files.read_text(join(folder, FILE))))
    except (GenreflowError, OSError, ValueError, LookupError, TypeError) as error:
        # The results are published, so this ends no step.
        return [f"{join(folder, FILE)} cannot be read: {one_line(error)}"]


def _lines(outcome: Mapping[str, Any]) -> list[str]:
    found = []
    for part, name in _PARTS.items():
        if part in outcome:
            ok, text = outcome[part]["ok"], outcome[part]["text"]
            found.append(text if ok else f"not deployed to {name}: {text}")
    if any(not outcome[part]["ok"] for part in _PARTS if part in outcome):
        found.append(f"version {outcome['version']} stays pushed at {outcome['model_uri']}")
    return found


def one_line(error: Exception) -> str:
    """Return the text of an error: a user's error in its own words."""
    cause = failures.find_user_error(error)
    return str(cause) if cause else failures.one_line(error)
