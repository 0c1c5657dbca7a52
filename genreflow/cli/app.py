"""Command `genreflow`: its subcommands put together. Importing this module must stay instant."""

from __future__ import annotations

import io
import platform
import sys
from typing import Annotated

import typer

from genreflow.cli import shells
from genreflow.cli.beam_worker import beam_worker
from genreflow.cli.check_data import check_data
from genreflow.cli.compare import compare
from genreflow.cli.devices import devices
from genreflow.cli.doctor import doctor
from genreflow.cli.download import download
from genreflow.cli.exit import EXIT_INTERRUPTED
from genreflow.cli.explore import explore
from genreflow.cli.help import App
from genreflow.cli.init import init
from genreflow.cli.kubeflow.app import app as kubeflow_app
from genreflow.cli.label import label
from genreflow.cli.models.app import app as models_app
from genreflow.cli.predict.command import predict
from genreflow.cli.report import report
from genreflow.cli.run import demo, run
from genreflow.cli.serve import serve
from genreflow.cli.web import web

HELP = "Train music-genre models on audio, evaluate them, and push the blessed ones to serving."

app = App("genreflow", HELP, context_settings={"help_option_names": ["-h", "--help"]})


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(
            f"genreflow {version('genreflow')} (TFX {version('tfx')}, TensorFlow "
            f"{version('tensorflow')}, Python {platform.python_version()})"
        )
        raise typer.Exit


@app.callback()
def genreflow(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    pass


app.command()(run)
app.command()(demo)
app.command()(init)
app.command()(download)
app.command()(check_data)
app.command()(predict)
app.command()(label)
app.command()(serve)
app.command()(web)
app.command()(compare)
app.command()(report)
app.command()(explore)
app.command()(devices)
app.command()(doctor)
app.command()(beam_worker)
app.add_app(models_app)
app.add_app(kubeflow_app)


def main() -> None:
    """Run the console script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Characters that the terminal's encoding lacks are escaped.
            stream.reconfigure(errors="backslashreplace")
    try:
        shells.run(lambda: app(prog_name=app.info.name))
    except KeyboardInterrupt:  # before a command began
        sys.exit(EXIT_INTERRUPTED)
