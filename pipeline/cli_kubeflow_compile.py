"""`genreflow kubeflow compile`: the pipeline as a file for a cluster, or for Vertex AI."""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
from collections.abc import Sequence

from rich.console import Console

from pipeline.cli_run import read_config
from pipeline.config import Config
from pipeline.data import with_data_dir
from pipeline.display import shown
from pipeline.kubeflow_settings import KubeflowSettings
from pipeline.quiet import quiet_stderr


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
    config = read_config(name, overrides)
    settings = config.kubeflow
    if image:
        settings = dataclasses.replace(settings, image=image)
    if target == "vertex":
        return _for_vertex(config, settings, output or "pipeline.json", data_dir)
    return _for_kubeflow(config, settings, output or "pipeline.yaml", data_dir)


def _for_kubeflow(config: Config, settings: KubeflowSettings, output: str, data_dir: str) -> int:
    from kubeflow import compiler

    compiler.check(config, settings)  # before the seconds that TFX takes
    if data_dir:
        config = with_data_dir(config, data_dir)
    with quiet_stderr() as console, console.status("compiling (importing TFX, some 20 s)"):
        steps = compiler.compile_pipeline(config, settings, output)
    _print(
        f"compiled   {shown(os.path.abspath(output))}: {len(steps)} nodes, and the steps that "
        "prepare and finish a run",
        f"image      {shown(settings.image)}",
        f"root       {shown(settings.pipeline_root)}",
        f"next       {shown(shlex.join(['genreflow', 'kubeflow', 'submit', output]))}",
    )
    return 0


def _for_vertex(config: Config, settings: KubeflowSettings, output: str, data_dir: str) -> int:
    from kubeflow import vertex, vertex_checks, vertex_storage

    mount = vertex_storage.mount_root(os.environ)
    config = with_data_dir(config, vertex_storage.path_of(data_dir, mount))
    vertex_checks.check(config, settings, mount)
    with quiet_stderr() as console, console.status("compiling (importing TFX, some 20 s)"):
        done = vertex.compile_pipeline(config, settings, output)
    path = os.path.abspath(output)
    unused = vertex_checks.unused(settings)
    _print(
        f"compiled   {shown(path)}: {len(done.steps)} steps for Vertex AI",
        f"image      {shown(settings.image)}",
        f"root       {shown(settings.pipeline_root)}",
        f"data       {shown(config.dataset.data_dir)}: {done.tracks} tracks",
        f"models     {shown(done.models)}",
        "limits     of this target:",
        *(f"  - {limit}" for limit in vertex_checks.LIMITS),
        *([f"  - not used on Vertex AI: {shown(', '.join(unused))}"] if unused else []),
        f"next       {shown(_submission(path))}",
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


def _print(*lines: str) -> None:
    out = Console()
    for line in lines:
        out.print(line, highlight=False, soft_wrap=True)
