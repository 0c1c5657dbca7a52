"""One step of the pipeline on Vertex AI: TFX's own entry point, with Cloud Storage as files.

    python -m kubeflow.vertex.step --executor_class_path components.gate.executor.Executor \
        --json_serialized_invocation_args '{...}' --json_serialized_inputs_spec_args '{...}'

Vertex AI names artifacts gs://bucket/x. TensorFlow could read that, most of this project could
not; so inputs are read from where Vertex AI mounts the buckets, and outputs are written to the
container's own disk and copied to the bucket when the step is done: the mount takes whole files
only (kubeflow.vertex.storage), and a step that fails leaves nothing half made. What the step tells
Vertex AI of its artifacts has the gs:// names again. Exit status: as kubeflow.steps.run_node.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from typing import Any

from components.common.errors import UsageError
from components.common.escape import printable
from kubeflow.steps.step_log import told
from kubeflow.vertex import storage as vertex_storage
from kubeflow.vertex import types as vertex_types
from kubeflow.vertex.storage import path_of, uri_of
from pipeline.process import exit as ending
from pipeline.process import failures
from pipeline.process import imports as startup

EXIT_FAILED, EXIT_USAGE = 1, 2
SCHEMA_FILE = "schema_file"


def run(given: argparse.Namespace, beam_args: Sequence[str], mount: str) -> None:
    """Runs the executor, and leaves its outputs and what it says of them in the bucket.

    Args:
      given: the arguments of the command line.
      beam_args: further ones, which are Beam's.
      mount: the folder whose subfolders are the buckets.

    Raises:
      UsageError: no buckets are mounted, or what Vertex AI says is not what a step can read.
      Exception: whatever the executor raises.
    """
    if not os.path.isdir(mount):
        raise UsageError(
            f"{mount}: no such folder; steps read Cloud Storage where Vertex AI mounts it "
            f"(elsewhere: gcsfuse --implicit-dirs {mount})"
        )
    startup.defer("tfx.components")
    with startup.quick_imports():
        from google.protobuf import json_format
        from kfp.pipeline_spec import pipeline_spec_pb2
        from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor

    vertex_types.register()
    asked = pipeline_spec_pb2.ExecutorInput()
    try:
        json_format.Parse(given.json_serialized_invocation_args, asked, ignore_unknown_fields=True)
    except json_format.ParseError as error:
        raise UsageError(f"--json_serialized_invocation_args: {error}") from error
    with tempfile.TemporaryDirectory(prefix="genreflow-step-") as scratch:
        output_file = uri_of(asked.outputs.output_file, mount)
        asked.outputs.output_file = path_of(output_file, scratch)
        for artifact in _artifacts(asked.inputs.artifacts):
            artifact.uri = path_of(artifact.uri, mount)
        written = []
        for artifact in _artifacts(asked.outputs.artifacts):
            written.append(uri_of(artifact.uri, mount))
            artifact.uri = path_of(written[-1], scratch)
            os.makedirs(artifact.uri)  # as TFX's launcher does; some executors rely on it
        if given.schema:
            _give_schema(asked.inputs, given.schema, scratch)
        given.json_serialized_invocation_args = json_format.MessageToJson(asked)
        with told(given.executor_class_path):
            kubeflow_v2_run_executor.main((given, list(beam_args)))

        said = pipeline_spec_pb2.ExecutorOutput()
        json_format.Parse(pathlib.Path(asked.outputs.output_file).read_text(encoding="utf-8"), said)
        for artifact in _artifacts(said.artifacts):
            artifact.uri = uri_of(artifact.uri, scratch)
        for uri in written:
            _publish(path_of(uri, scratch), path_of(uri, mount))
        target = pathlib.Path(path_of(output_file, mount))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json_format.MessageToJson(said), encoding="utf-8")


def _artifacts(lists: Any) -> list[Any]:
    """Those of a map from key to list of artifacts, in the order of keys."""
    return [artifact for key in sorted(lists) for artifact in lists[key].artifacts]


def _give_schema(inputs: Any, text: str, scratch: str) -> None:
    """The schema that ImportSchemaGen imports is in the pipeline itself; its parameter has
    the file's name, which changes with its content, for Vertex AI's cache."""
    name = os.path.basename(inputs.parameter_values[SCHEMA_FILE].string_value)
    path = pathlib.Path(scratch, name)
    path.write_text(text, encoding="utf-8")
    inputs.parameter_values[SCHEMA_FILE].string_value = str(path)


def _publish(source: str, target: str) -> None:
    """Copies a folder in place of what an earlier attempt has left there."""
    if os.path.isdir(target):
        shutil.rmtree(target)
    # Not by copytree, which also sets the folders' times and modes: the mount keeps none.
    for folder, _, files in os.walk(source):
        place = os.path.normpath(os.path.join(target, os.path.relpath(folder, source)))
        os.makedirs(place, exist_ok=True)
        for name in sorted(files):
            shutil.copyfile(os.path.join(folder, name), os.path.join(place, name))


def parse_arguments(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """TFX's own options and --schema; the rest is Beam's."""
    parser = argparse.ArgumentParser(
        prog="kubeflow.vertex.step", description="Runs one step on Vertex AI.", allow_abbrev=False
    )
    parser.add_argument("--executor_class_path", required=True)
    parser.add_argument("--json_serialized_invocation_args", required=True)
    parser.add_argument("--json_serialized_inputs_spec_args", required=True)
    parser.add_argument("--schema", default="", help="the content of the file to import")
    return parser.parse_known_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Runs a step; returns its exit status. Everything it says goes to the step's log."""
    given, beam_args = parse_arguments(arguments)
    name = given.executor_class_path
    begun = time.monotonic()
    print(f"genreflow: {printable(name)}: begins (importing TFX, some 20 s)", flush=True)
    try:
        run(given, beam_args, vertex_storage.mount_root(os.environ))
    except Exception as error:  # a node may raise anything; its step's log is where people look
        cause = failures.mendable(error)
        if cause is None:
            traceback.print_exc()
        for line in (str(cause) if cause else failures.one_line(error)).splitlines():
            print(f"genreflow: {printable(line)}", file=sys.stderr)
        return EXIT_USAGE if isinstance(error, UsageError) else EXIT_FAILED
    print(f"genreflow: {printable(name)}: done, {time.monotonic() - begun:.1f} s", flush=True)
    return 0


if __name__ == "__main__":
    ending.end(main(sys.argv[1:]))
