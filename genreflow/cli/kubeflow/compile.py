"""`genreflow kubeflow compile`: the pipeline as a file for a cluster, or for Vertex AI."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shlex
from collections.abc import Sequence

from rich.console import Console

from components.common.errors import UsageError
from genreflow.cli.quiet import quiet_stderr
from pipeline.config.kubeflow import KubeflowSettings
from pipeline.config.load import load_config, with_data_dir
from pipeline.config.schema import Config
from pipeline.display.text import escaped

_IMPORTING = "compiling (importing TFX, some 20 s)"


def compile_pipeline(
    name: str, *, image: str, target: str, output: str, data_dir: str, overrides: Sequence[str]
) -> int:
    """Writes the pipeline of a configuration as a file; returns 0.

    Args:
      name: of the configuration.
      image: what every step runs; "" for the configuration's.
      target: "kubeflow" or "vertex".
      output: path of the file; "" for the target's usual name in this folder.
      data_dir: in place of `dataset.data_dir`.
      overrides: keys and values of --set.

    Raises:
      UsageError: what can be known to be wrong before anything runs.
      GenreflowError: the data, which is read here for Vertex AI, cannot be used.
    """
    config = load_config(name, overrides)
    if data_dir:
        dataset = dataclasses.replace(config.dataset, data_dir=data_dir)
        config = dataclasses.replace(config, dataset=dataset)
    settings = config.kubeflow
    if image:
        settings = dataclasses.replace(settings, image=image)
    if target == "vertex":
        return _for_vertex(config, settings, output or "pipeline.json")
    return _for_kubeflow(config, settings, output or "pipeline.yaml")


def _for_kubeflow(config: Config, settings: KubeflowSettings, output: str) -> int:
    from kubeflow.compile import checks as compile_checks
    from kubeflow.compile import compiler

    compile_checks.check(config, settings, output)  # before the seconds that TFX takes
    _warn(compile_checks.image_warning(settings.image))
    config = with_data_dir(config, "")
    with quiet_stderr() as console, console.status(_IMPORTING):
        steps = compiler.compile_pipeline(config, settings, output)
    submit = shlex.join(["genreflow", "kubeflow", "submit", output])
    data = config.dataset.data_dir
    if config.dataset.kind == "synthetic":
        data = data or "songs that the first step makes"
    elif not data:
        submit += " -p data_dir=s3://BUCKET/FOLDER"
    _print(
        f"compiled   {escaped(os.path.abspath(output))}: {len(steps)} nodes, and the steps that "
        "prepare and finish a run",
        f"image      {escaped(settings.image)}",
        f"root       {escaped(settings.pipeline_root)}",
        f"data       {escaped(data or 'none: give it with submit -p data_dir=...')}",
        f"next       {escaped(submit)} --host URL --service-account NAME",
    )
    return 0


def _for_vertex(config: Config, settings: KubeflowSettings, output: str) -> int:
    from kubeflow.compile import checks as compile_checks
    from kubeflow.vertex import (
        checks as vertex_checks,
    )
    from kubeflow.vertex import (
        compiler as vertex,
    )
    from kubeflow.vertex import (
        storage as vertex_storage,
    )

    mount = vertex_storage.mount_root(os.environ)
    # What is no URI stays what it is, to be told with all the rest.
    with contextlib.suppress(UsageError):
        folder = vertex_storage.path_of(config.dataset.data_dir, mount)
        config = with_data_dir(config, folder)
    vertex_checks.check(config, settings, mount, output)
    _warn(compile_checks.image_warning(settings.image))
    with quiet_stderr() as console, console.status(_IMPORTING):
        done = vertex.compile_pipeline(config, settings, output)
    path = os.path.abspath(output)
    unused = vertex_checks.unused(settings)
    _print(
        f"compiled   {escaped(path)}: {len(done.steps)} steps for Vertex AI",
        f"image      {escaped(settings.image)}",
        f"root       {escaped(settings.pipeline_root)}",
        f"data       {escaped(config.dataset.data_dir)}: {done.tracks} tracks",
        f"models     {escaped(done.models)}",
        "limits     of this target:",
        *(f"  - {limit}" for limit in vertex_checks.LIMITS),
        *([f"  - not used on Vertex AI: {escaped(', '.join(unused))}"] if unused else []),
        f"next       {escaped(_submission(path))}",
    )
    return 0


def _submission(path: str) -> str:
    """The line that runs the file on Vertex AI, but for what only its user knows."""
    program = (
        "from google.cloud.aiplatform import PipelineJob; "
        f'PipelineJob(display_name="genreflow", template_path={json.dumps(path)}, '
        'project="PROJECT", location="REGION").submit(service_account="ACCOUNT")'
    )
    return f"python -c {shlex.quote(program)}"


def _warn(problem: str) -> None:
    if problem:
        console = Console(stderr=True)
        console.print(f"[yellow]warning:[/] {escaped(problem)}", highlight=False, soft_wrap=True)


def _print(*lines: str) -> None:
    out = Console()
    for line in lines:
        out.print(line, highlight=False, soft_wrap=True)
