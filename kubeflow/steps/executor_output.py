"""The file by which a step gives Kubeflow's launcher metadata of artifacts, and parameters.

It is the message ExecutorOutput as JSON (api/v2alpha1/pipeline_spec.proto of Kubeflow Pipelines).
The launcher reads it after the step's success, at the path that the message ExecutorInput names
(getExecutorOutputFile in backend/src/v2/component/launcher_v2.go, 2.14.0 to 2.17.0).
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from typing import Any

from components.artifacts import files as artifact_files
from components.common.errors import UsageError

# In a container component the launcher replaces this by ExecutorInput as JSON. It does not replace
# {{$.outputs.output_file}}, which kfp documents (getPlaceholders in launcher_v2.go).
EXECUTOR_INPUT = "{{$}}"


class ExecutorOutput:
    """Metadata of artifacts, and parameters, to be written for the launcher."""

    def __init__(self) -> None:
        self._artifacts: dict[str, dict[str, Any]] = {}
        self._parameters: dict[str, Any] = {}

    def set_artifact(self, name: str, metadata: Mapping[str, Any], uri: str = "") -> None:
        """Set an output artifact's metadata.

        Args:
          name: the output's name in the component.
          metadata: JSON values. Numbers that are not finite and None are left out, because the
            launcher takes neither.
          uri: the artifact's URI; "" keeps the one that Kubeflow chose.
        """
        kept = {key: value for key, value in metadata.items() if _is_taken(value)}
        self._artifacts[name] = {"metadata": kept, **({"uri": uri} if uri else {})}

    def set_parameter(self, name: str, value: str | bool | dict[str, str]) -> None:
        """Set an output parameter, of the type that the component declares."""
        self._parameters[name] = value

    def to_json(self) -> dict[str, Any]:
        """Return the message as JSON values."""
        return {
            "parameterValues": self._parameters,
            "artifacts": {name: {"artifacts": [one]} for name, one in self._artifacts.items()},
        }

    def write(self, path: str) -> None:
        """Write the message where the launcher expects it, also if it is empty."""
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        artifact_files.write_text(path, json.dumps(self.to_json(), sort_keys=True))


def _is_taken(value: Any) -> bool:
    return value is not None and not (isinstance(value, float) and not math.isfinite(value))


def output_file(executor_input: str) -> str:
    """Return the path of the file from ExecutorInput as JSON.

    Raises:
      UsageError: it is not the launcher's.
    """
    try:
        path = json.loads(executor_input)["outputs"]["outputFile"]
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            "--executor-input: no outputs.outputFile in it; only Kubeflow's launcher can give it"
        ) from error
    if not isinstance(path, str) or not path:
        raise UsageError("--executor-input: outputs.outputFile is not a path")
    return path
