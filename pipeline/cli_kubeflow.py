"""`genreflow kubeflow` as it is typed: its commands and their options, nothing heavy."""

from __future__ import annotations

import enum
from typing import Annotated

import typer

from pipeline import cli_kubeflow_client
from pipeline.cli_exit import finish
from pipeline.cli_options import ConfigOption, SetOption

app = typer.Typer(
    help="The same pipeline on Kubeflow Pipelines.", no_args_is_help=True, rich_markup_mode=None
)


class Target(enum.Enum):
    """What the pipeline is compiled for."""

    KUBEFLOW = "kubeflow"
    VERTEX = "vertex"


@app.command("compile")
def compile_(
    config: ConfigOption,
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="The file to write, and the folders that it lacks [default: pipeline.yaml, or "
            "pipeline.json for vertex].",
        ),
    ] = "",
    image: Annotated[
        str, typer.Option("--image", help="What every step runs [default: kubeflow.image].")
    ] = "",
    target: Annotated[
        Target, typer.Option("--target", help="Kubeflow Pipelines, or Vertex AI Pipelines.")
    ] = Target.KUBEFLOW,
    data_dir: Annotated[
        str,
        typer.Option(
            "--data-dir",
            "-d",
            help="The data set's folder: s3://bucket/folder, or a path on the steps' volume; with "
            "--target vertex gs://bucket/folder or /gcs/bucket/folder [default: as configured, or "
            "given at submit].",
        ),
    ] = "",
    overrides: SetOption = None,
) -> None:
    """Write the pipeline as a file for Kubeflow or for Vertex AI.

    The configuration needs a table [kubeflow], which says where the steps run: see
    kubeflow/README.md. Each of its keys can also be given by --set, such as
    --set kubeflow.pipeline_root=s3://bucket/genreflow.
    """
    from pipeline import cli_kubeflow_compile

    finish(
        cli_kubeflow_compile.compile_pipeline,
        config,
        image=image,
        target=target.value,
        output=output,
        data_dir=data_dir,
        overrides=overrides or [],
    )


app.command()(cli_kubeflow_client.submit)
app.command()(cli_kubeflow_client.schedule)
app.command()(cli_kubeflow_client.runs)
app.command()(cli_kubeflow_client.watch)
