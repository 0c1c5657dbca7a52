"""`genreflow kubeflow compile`: the pipeline as a file for a cluster."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

from rich.console import Console

from pipeline.cli_run import read_config
from pipeline.data import with_data_dir
from pipeline.display import shown
from pipeline.quiet import quiet_stderr


def compile_pipeline(
    name: str, *, image: str, output: str, data_dir: str, overrides: Sequence[str]
) -> int:
    """Writes the pipeline of a configuration as a file for Kubeflow Pipelines; returns 0.

    Raises:
      UsageError: what can be known to be wrong before anything runs.
    """
    from kubeflow import compiler

    config = read_config(name, overrides)
    settings = config.kubeflow
    if image:
        settings = dataclasses.replace(settings, image=image)
    compiler.check(config, settings)  # before the seconds that TFX takes
    if data_dir:
        config = with_data_dir(config, data_dir)
    with quiet_stderr() as console, console.status("compiling (importing TFX, some 20 s)"):
        steps = compiler.compile_pipeline(config, settings, output)
    out = Console()
    out.print(
        f"compiled   {shown(os.path.abspath(output))}: {len(steps)} nodes, and the steps that "
        "prepare and finish a run",
        highlight=False,
        soft_wrap=True,
    )
    out.print(f"image      {shown(settings.image)}", highlight=False, soft_wrap=True)
    out.print(f"root       {shown(settings.pipeline_root)}", highlight=False, soft_wrap=True)
    out.print(
        "next       upload it in Kubeflow's interface, or by its client: "
        "kfp pipeline create -p genreflow FILE",
        highlight=False,
        soft_wrap=True,
    )
    return 0
