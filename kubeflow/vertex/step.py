"""Entry point of one step on Vertex AI: TFX's own, with Cloud Storage as local files.

    python -m kubeflow.vertex.step --executor_class_path components.gate.executor.Executor \
        --json_serialized_invocation_args '{...}' --json_serialized_inputs_spec_args '{...}'

Vertex AI names artifacts gs://bucket/x, which TensorFlow could read but most of this project could
not. So inputs are read from the mounted buckets. Outputs are written to the container's own disk
and copied to the bucket when the step is done: the mount supports whole files only
(kubeflow.vertex.storage), and a failed step leaves no partial output. The step reports its
artifacts to Vertex AI with gs:// names again. Exit status: as for kubeflow.steps.run_node.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

from components.common.errors import UsageError
from kubeflow.steps.step_log import progress_lines, report_error, say
from kubeflow.vertex import artifact_types
from kubeflow.vertex.storage import mount_root, path_of, uri_of
from pipeline.process.libraries import exit_at_once, tfx_imports

SCHEMA_FILE = "schema_file"


def run(given: argparse.Namespace, beam_args: Sequence[str], mount: str) -> None:
    """Run the executor, and copy its outputs and their description to the bucket.

    Args:
      given: the arguments of the command line.
      beam_args: further arguments, for Beam.
      mount: the folder whose subfolders are the buckets.

    Raises:
      UsageError: no buckets are mounted, or the arguments cannot be read.
      Exception: any error of the executor.
    """
    if not os.path.isdir(mount):
        raise UsageError(
            f"{mount}: no such folder; steps read Cloud Storage where Vertex AI mounts it "
            f"(on other machines run: gcsfuse --implicit-dirs {mount})"
        )
    with tfx_imports():
        from google.protobuf import json_format
        from kfp.pipeline_spec import pipeline_spec_pb2
        from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor

    artifact_types.register()
    executor_input = pipeline_spec_pb2.ExecutorInput()
    try:
        json_format.Parse(
            given.json_serialized_invocation_args, executor_input, ignore_unknown_fields=True
        )
    except json_format.ParseError as error:
        raise UsageError(f"--json_serialized_invocation_args: {error}") from error
    with tempfile.TemporaryDirectory(prefix="genreflow-step-") as scratch:
        output_file = uri_of(executor_input.outputs.output_file, mount)
        executor_input.outputs.output_file = path_of(output_file, scratch)
        for artifact in _artifacts(executor_input.inputs.artifacts):
            artifact.uri = path_of(artifact.uri, mount)
        written = []
        for artifact in _artifacts(executor_input.outputs.artifacts):
            written.append(uri_of(artifact.uri, mount))
            artifact.uri = path_of(written[-1], scratch)
            os.makedirs(artifact.uri)  # TFX's launcher does so too, and some executors rely on it
        if given.schema:
            _give_schema(executor_input.inputs, given.schema, scratch)
        given.json_serialized_invocation_args = json_format.MessageToJson(executor_input)
        with progress_lines(given.executor_class_path):
            kubeflow_v2_run_executor.main((given, list(beam_args)))

        executor_output = pipeline_spec_pb2.ExecutorOutput()
        text = pathlib.Path(executor_input.outputs.output_file).read_text(encoding="utf-8")
        json_format.Parse(text, executor_output)
        for artifact in _artifacts(executor_output.artifacts):
            artifact.uri = uri_of(artifact.uri, scratch)
        for uri in written:
            _publish(path_of(uri, scratch), path_of(uri, mount))
        target = pathlib.Path(path_of(output_file, mount))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json_format.MessageToJson(executor_output), encoding="utf-8")


def _artifacts(lists: Any) -> list[Any]:
    """Return the artifacts of a map from key to list of artifacts, in the order of keys."""
    return [artifact for key in sorted(lists) for artifact in lists[key].artifacts]


def _give_schema(inputs: Any, text: str, scratch: str) -> None:
    """Write the schema to a file, and pass its path to ImportSchemaGen.

    The compiled pipeline contains the schema's text. The parameter contains only a file name that
    changes with the text, so that Vertex AI's cache sees a change.
    """
    name = os.path.basename(inputs.parameter_values[SCHEMA_FILE].string_value)
    path = pathlib.Path(scratch, name)
    path.write_text(text, encoding="utf-8")
    inputs.parameter_values[SCHEMA_FILE].string_value = str(path)


def _publish(source: str, target: str) -> None:
    """Copy a folder, and replace what an earlier attempt has left."""
    if os.path.isdir(target):
        shutil.rmtree(target)
    # Not shutil.copytree: it also sets folders' times and modes, which the mount does not keep.
    for folder, _, files in os.walk(source):
        place = os.path.normpath(os.path.join(target, os.path.relpath(folder, source)))
        os.makedirs(place, exist_ok=True)
        for name in sorted(files):
            shutil.copyfile(os.path.join(folder, name), os.path.join(place, name))


def parse_arguments(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Parse TFX's own options and --schema; return them, and the other arguments for Beam."""
    parser = argparse.ArgumentParser(
        prog="kubeflow.vertex.step", description="Runs one step on Vertex AI.", allow_abbrev=False
    )
    parser.add_argument("--executor_class_path", required=True)
    parser.add_argument("--json_serialized_invocation_args", required=True)
    parser.add_argument("--json_serialized_inputs_spec_args", required=True)
    parser.add_argument("--schema", default="", help="content of the schema file to import")
    return parser.parse_known_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Run a step and return its exit status. All messages go to the step's log."""
    given, beam_args = parse_arguments(arguments)
    name = given.executor_class_path
    begun = time.monotonic()
    say(f"{name}: starting (importing TFX takes some 20 s)")
    try:
        run(given, beam_args, mount_root(os.environ))
    except Exception as error:  # a node may raise anything, and users look into its step's log
        return report_error(error)
    say(f"{name}: done, {time.monotonic() - begun:.1f} s")
    return 0


if __name__ == "__main__":
    exit_at_once(main(sys.argv[1:]))
