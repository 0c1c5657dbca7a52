"""`genreflow kubeflow compile`: write the pipeline as a file for a cluster or for Vertex AI."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import json
import os
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from genreflow.cli.exit import command
from genreflow.cli.help import OTHER, shown
from genreflow.cli.messages import print_fields, warn
from genreflow.cli.options import ConfigOption, SetOption
from genreflow.suggested import line_of

if TYPE_CHECKING:
    from kubeflow.compile.node_steps import NodeStep
    from pipeline.config.kubeflow import KubeflowSettings
    from pipeline.config.schema import Config

_IMPORTING = "compiling (importing TFX takes some 20 s)"


class Backend(enum.Enum):
    """Services that can run a compiled pipeline."""

    KUBEFLOW = "kubeflow"
    VERTEX = "vertex"


@shown(
    OTHER,
    "genreflow kubeflow compile --config folder -o pipeline.yaml",
    "genreflow kubeflow compile -c folder --target vertex -d gs://bucket/music",
)
@command
def compile_pipeline(
    config_name: ConfigOption,
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="The file to write; missing folders are created [default: pipeline.yaml, or "
            "pipeline.json for vertex].",
        ),
    ] = "",
    image: Annotated[
        str,
        typer.Option(
            "--image", metavar="IMAGE", help="Image of every step [default: kubeflow.image]."
        ),
    ] = "",
    target: Annotated[
        Backend,
        typer.Option(
            "--target",
            metavar="kubeflow|vertex",
            help="Kubeflow Pipelines, or Vertex AI Pipelines.",
        ),
    ] = Backend.KUBEFLOW,
    data_dir: Annotated[
        str,
        typer.Option(
            "--data-dir",
            "-d",
            metavar="FOLDER",
            help="The data set's folder: s3://bucket/folder, or a path on the steps' volume; with "
            "--target vertex gs://bucket/folder or /gcs/bucket/folder [default: as configured, or "
            "given at submit].",
        ),
    ] = "",
    overrides: SetOption = None,
) -> int:
    """Write the pipeline as a file for Kubeflow or for Vertex AI.

    The configuration needs a table [kubeflow] that says where the steps run: see
    docs/guides/kubeflow.md. Each of its keys can also be given by --set, such as
    --set kubeflow.pipeline_root=s3://bucket/genreflow.
    """
    from pipeline.config.load import load_config

    config = load_config(config_name, overrides or [])
    if data_dir:
        dataset = dataclasses.replace(config.dataset, data_dir=data_dir)
        config = dataclasses.replace(config, dataset=dataset)
    settings = config.kubeflow
    if image:
        settings = dataclasses.replace(settings, image=image)
    if target is Backend.VERTEX:
        return _compile_for_vertex(config, settings, output or "pipeline.json")
    return _compile_for_kubeflow(config, settings, output or "pipeline.yaml")


def _compile_for_kubeflow(config: Config, settings: KubeflowSettings, output: str) -> int:
    from genreflow.cli.quiet import quiet_stderr
    from kubeflow.compile import checks, compiler, lookups
    from pipeline.config.load import with_data_dir

    checks.check(config, settings, output)  # before the seconds that TFX takes
    _warn(checks.image_warning(settings.image))
    config = with_data_dir(config, "")
    with quiet_stderr() as console, console.status(_IMPORTING):
        steps = compiler.compile_pipeline(config, settings, output)
    submit = line_of("kubeflow", "submit", output)
    data = config.dataset.data_dir
    if config.dataset.kind == "synthetic":
        data = data or "songs that the first step generates"
    elif not data:
        submit += " -p data_dir=s3://BUCKET/FOLDER"
    looked_up = sum(len(lookup.steps) for lookup in lookups.lookups_of(steps, settings))
    cache = {"cache": f"looked up before {looked_up} steps with GPUs"} if looked_up else {}
    print_fields(
        {
            "compiled": f"{os.path.abspath(output)}: {_counted(steps)}, and the steps that "
            "prepare and finish a run",
            **cache,
            "image": settings.image,
            "root": settings.pipeline_root,
            "data": data or "none yet; give it with submit -p data_dir=...",
            "next": f"{submit} --host URL --service-account NAME",
        }
    )
    return 0


def _counted(steps: Sequence[NodeStep]) -> str:
    """Return the number of nodes, and that of steps if it is another."""
    nodes = sum(len(step.node_ids) for step in steps)
    return f"{nodes} nodes" + (f" in {len(steps)} steps" if nodes > len(steps) else "")


def _compile_for_vertex(config: Config, settings: KubeflowSettings, output: str) -> int:
    from components.common.errors import UsageError
    from components.common.escape import printable
    from genreflow.cli.quiet import quiet_stderr
    from kubeflow.compile.checks import image_warning
    from kubeflow.vertex import checks, compiler, storage
    from pipeline.config.load import with_data_dir

    mount = storage.mount_root(os.environ)
    # An invalid URI is kept as it is: the checks report it together with all other problems.
    with contextlib.suppress(UsageError):
        folder = storage.path_of(config.dataset.data_dir, mount)
        config = with_data_dir(config, folder)
    checks.check(config, settings, mount, output)
    _warn(image_warning(settings.image))
    with quiet_stderr() as console, console.status(_IMPORTING):
        compiled = compiler.compile_pipeline(config, settings, output)
    path = os.path.abspath(output)
    print_fields(
        {
            "compiled": f"{path}: {len(compiled.steps)} steps for Vertex AI",
            "image": settings.image,
            "root": settings.pipeline_root,
            "data": f"{config.dataset.data_dir}: {compiled.tracks} tracks",
            "models": compiled.models,
            "limits": "of this target:",
        }
    )
    limits = list(checks.LIMITS)
    if unused := checks.unused(settings):
        limits.append(f"not used on Vertex AI: {', '.join(unused)}")
    for limit in limits:
        print(f"  - {printable(limit)}")
    print_fields({"next": _vertex_command(path)})
    return 0


def _vertex_command(path: str) -> str:
    """Return the command that runs a file on Vertex AI, with the user's own values in capitals."""
    program = (
        "from google.cloud.aiplatform import PipelineJob; "
        f'PipelineJob(display_name="genreflow", template_path={json.dumps(path)}, '
        'project="PROJECT", location="REGION").submit(service_account="ACCOUNT")'
    )
    return f"python -c {shlex.quote(program)}"


def _warn(problem: str) -> None:
    if problem:
        warn(problem)
