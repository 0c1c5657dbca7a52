"""Executors on local copies of artifacts that are in an object store.

TensorFlow, TFDV and TFMA read and write artifacts by TensorFlow's file systems, which have none for
s3:// (tensorflow-io, which adds one, loads with TensorFlow 2.16 at most). So an executor gets local
copies of its inputs, and local folders for its outputs, which are uploaded after it succeeded.
Neither the executor nor ML Metadata notices. Copies also save transfers: by tensorflow-io each
node, and each epoch of a training on streamed clips, would fetch the examples again.
"""

from __future__ import annotations

import copy
import functools
import os
import tempfile
from collections.abc import Callable
from typing import Any

import attr
from tfx.orchestration.portable import beam_executor_operator, python_executor_operator
from tfx.proto.orchestration import executable_spec_pb2

from components.artifacts.base_executor import ExecutorMixin
from components.common.model_contract import SAVED_MODEL
from components.storage.copies import Copies
from components.storage.uri import is_remote

ArtifactLists = dict[str, list[Any]]


def executor_operators(copies: Copies) -> dict[Any, Any]:
    """Return what TFX's launcher needs to run executors: `custom_executor_operators`.

    Args:
      copies: the local copies of a process.
    """
    return {
        executable_spec_pb2.PythonClassExecutableSpec: functools.partial(_OnPython, copies),
        executable_spec_pb2.BeamExecutableSpec: functools.partial(_OnBeam, copies),
    }


class _OnCopies:
    """Part of TFX's executor operators that lets the executor work on copies."""

    _executor_cls: Any

    def __init__(self, copies: Copies, **given: Any) -> None:
        super().__init__(**given)
        self._copies = copies

    def run_executor(self, execution_info: Any) -> Any:
        """Run the executor and return its output, an ExecutorOutput.

        Raises:
          DiskFullError: the disk is too full for the copies or for the executor.
          StorageError: an object cannot be read or written.
          Exception: any error of the executor.
        """
        if getattr(self._executor_cls, "works_on_uris", False) or not any(
            is_remote(artifact.uri)
            for lists in (execution_info.input_dict, execution_info.output_dict)
            for listed in lists.values()
            for artifact in listed
        ):
            return super().run_executor(execution_info)  # type: ignore[misc]
        copies, uris = self._copies, {}
        written: list[str] = []

        def local(artifacts: ArtifactLists, place: Callable[[str], str]) -> ArtifactLists:
            made = copy.deepcopy(artifacts)
            for artifact in (artifact for listed in made.values() for artifact in listed):
                if is_remote(artifact.uri):
                    uri, artifact.uri = artifact.uri, place(artifact.uri)
                    uris[artifact.uri] = uri
            return made

        def create(uri: str) -> str:
            written.append(uri)
            return copies.create(uri)

        with tempfile.TemporaryDirectory(prefix="node-", dir=copies.root) as scratch:
            try:
                on_copies = attr.evolve(
                    execution_info,
                    input_dict=local(execution_info.input_dict, copies.fetch),
                    output_dict=local(execution_info.output_dict, create),
                    execution_output_uri=os.path.join(scratch, "executor_output.pb"),
                    stateful_working_dir=_folder(scratch, "state"),
                    tmp_dir=_folder(scratch, "tmp"),
                )
                with copies.space_errors():
                    output = super().run_executor(on_copies)  # type: ignore[misc]
                for uri in written:
                    copies.publish(uri, last=SAVED_MODEL)
            except BaseException:
                for uri in written:
                    copies.discard(uri)
                raise
        _name_by_uris(output, uris)
        return output


class _OnPython(_OnCopies, python_executor_operator.PythonExecutorOperator):  # type: ignore[misc]
    """Operator of executors without Beam."""


class _WatchingOperator(beam_executor_operator.BeamExecutorOperator):  # type: ignore[misc]
    """Operator that watches the jobs of TFX's own executors; ours do so themselves."""

    def run_executor(self, execution_info: Any) -> Any:
        """Run the executor and return its output, an ExecutorOutput."""
        if issubclass(self._executor_cls, ExecutorMixin):
            return super().run_executor(execution_info)
        from pipeline.process.watched_pipeline import make_pipeline

        # Called when the flags have their values.
        return super().run_executor(execution_info, lambda: make_pipeline(self.beam_pipeline_args))


class _OnBeam(_OnCopies, _WatchingOperator):
    """Operator of executors with Beam."""


def _folder(parent: str, name: str) -> str:
    path = os.path.join(parent, name, "")
    os.mkdir(path)
    return path


def _name_by_uris(output: Any, uris: dict[str, str]) -> None:
    """Replace the copies' paths in an ExecutorOutput by their URIs, also within properties."""

    def named(text: str) -> str:
        for path, uri in uris.items():
            if text == path or text.startswith(f"{path}/"):
                return uri + text[len(path) :]
        return text

    for listed in output.output_artifacts.values():
        for artifact in listed.artifacts:
            artifact.uri = named(artifact.uri)
            for properties in (artifact.properties, artifact.custom_properties):
                for value in properties.values():
                    if value.HasField("string_value"):
                        value.string_value = named(value.string_value)
