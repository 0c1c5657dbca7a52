"""Base classes of the components' executors, and their view of artifacts and parameters."""

from __future__ import annotations

import abc
import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.types import artifact_utils

from components.artifacts.files import empty_folder
from components.common.dataclass_json import from_json
from components.common.errors import DataError

Settings = TypeVar("Settings")


class Artifacts:
    """Input or output artifacts of one execution, by key."""

    def __init__(self, lists: Mapping[str, Sequence[Any]]) -> None:
        self._lists = lists

    def single(self, key: str) -> Any:
        """Return the only artifact of a key."""
        return artifact_utils.get_single_instance(list(self._lists[key]))

    def optional(self, key: str) -> Any | None:
        """Return the only artifact of a key, or None if the key is missing or empty."""
        return self.single(key) if self._lists.get(key) else None

    def uri(self, key: str) -> str:
        """Return the URI of the only artifact of a key."""
        return str(self.single(key).uri)

    def uris(self, prefix: str) -> dict[str, str]:
        """Return the URIs of all keys `<prefix><name>` that have an artifact, by name, sorted."""
        return {
            key.removeprefix(prefix): self.uri(key)
            for key, artifacts in sorted(self._lists.items())
            if key.startswith(prefix) and artifacts
        }


class Parameters(dict[str, Any]):
    """Execution properties of a node; settings are stored as JSON texts."""

    def json(self, key: str) -> Any:
        """Return the value of a JSON text."""
        return json.loads(self[key])

    def parse(self, key: str, kind: type[Settings]) -> Settings:
        """Return the settings of a JSON object, whose keys are the fields of the class `kind`."""
        return from_json(kind, self.json(key))


class ExecutorMixin(abc.ABC):
    """Steps of every executor: log the start, empty the outputs, execute.

    A retried step inherits the output folders of the attempt that died, so it starts with
    empty ones.

    Attributes:
      works_on_uris: whether the executor reads and writes artifacts in an object store by
        components.artifacts.files alone. If not, it gets local copies
        (pipeline.process.staging).
    """

    works_on_uris = False

    def Do(  # noqa: N802  TFX's name
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Run the component; TFX calls this."""
        self._log_startup(input_dict, output_dict, exec_properties)  # type: ignore[attr-defined]
        for artifacts in output_dict.values():
            for artifact in artifacts:
                empty_folder(artifact.uri)
        self.execute(Artifacts(input_dict), Artifacts(output_dict), Parameters(exec_properties))

    @abc.abstractmethod
    def execute(self, inputs: Artifacts, outputs: Artifacts, parameters: Parameters) -> None:
        """Do the component's work.

        Args:
          inputs: the artifacts to read.
          outputs: the artifacts to write; their folders exist and are empty.
          parameters: the node's parameters.
        """


class ComponentExecutor(ExecutorMixin, BaseExecutor):  # type: ignore[misc]
    """Base class of executors without Beam. With Beam: `(ExecutorMixin, BaseBeamExecutor)`."""


def check_audio_hash(examples: Any, audio_hash: str) -> None:
    """Raise DataError if an Examples artifact was made with other audio parameters."""
    found = examples.get_string_custom_property("audio_hash")
    if found != audio_hash:
        raise DataError(
            f"the examples were made with audio parameters {found}, this run's are "
            f"{audio_hash}: they must not be mixed"
        )
