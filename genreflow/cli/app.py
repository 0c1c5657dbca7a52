"""The `genreflow` command. Importing this module must stay instant."""

from __future__ import annotations

import io
import sys
from typing import Annotated, Optional

import typer

from genreflow.cli import serve
from genreflow.cli.exit import EXIT_INTERRUPTED, finish
from genreflow.cli.kubeflow import commands
from genreflow.cli.options import ConfigOption, DataDirOption, SetOption
from genreflow.cli.predict import command

app = typer.Typer(
    name="genreflow",
    help="Train music-genre models from audio, judge them, and push what is blessed.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

DEFAULT_WORK_DIR = "./genreflow-work"

WorkDirOption = Annotated[
    str, typer.Option("--work-dir", "-w", help="Where everything is written and cached.")
]
RequireBlessingOption = Annotated[
    bool, typer.Option("--require-blessing", help="Exit with 3 when the candidate is refused.")
]


def _show_version(wanted: bool) -> None:
    if wanted:
        import importlib.metadata

        typer.echo(f"genreflow {importlib.metadata.version('genreflow')}")
        raise typer.Exit


@app.callback()
def genreflow(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Train music-genre models from audio, judge them, and push what is blessed."""


@app.command()
def run(
    config: ConfigOption,
    data_dir: DataDirOption = "",
    work_dir: WorkDirOption = DEFAULT_WORK_DIR,
    overrides: SetOption = None,
    require_blessing: RequireBlessingOption = False,
) -> None:
    """Run the whole pipeline: audio in, a judged and pushed model out."""
    from genreflow.cli import run as cli_run

    finish(
        cli_run.run,
        config,
        data_dir=data_dir,
        work_dir=work_dir,
        overrides=overrides or [],
        require_blessing=require_blessing,
    )


@app.command()
def demo(
    work_dir: WorkDirOption = "./genreflow-demo",
    overrides: SetOption = None,
) -> None:
    """Run everything on a small synthetic corpus: no data needed, a few minutes."""
    from genreflow.cli import run as cli_run

    finish(
        cli_run.run,
        "demo",
        data_dir="",
        work_dir=work_dir,
        overrides=overrides or [],
        require_blessing=False,
    )


@app.command("check-data")
def check_data(
    config: ConfigOption,
    data_dir: DataDirOption = "",
    overrides: SetOption = None,
    full: Annotated[
        bool, typer.Option("--full", help="Decode every file; else only headers are read.")
    ] = False,
    rejects: Annotated[
        str, typer.Option("--rejects", help="Also write the tracks left out to this CSV file.")
    ] = "",
) -> None:
    """Count what a run would read, and say what it would leave out and cost."""
    from genreflow.cli import check_data as cli_check

    finish(
        cli_check.check_data,
        config,
        data_dir=data_dir,
        overrides=overrides or [],
        full=full,
        rejects_csv=rejects,
    )


app.command()(command.predict)
app.command()(serve.serve)


@app.command()
def compare(
    work_dirs: Annotated[
        list[str],
        typer.Argument(help="Work folders of finished runs, two or more.", metavar="WORK_DIR..."),
    ],
    model: Annotated[
        str,
        typer.Option(
            "--model", metavar="NAME", help="Look at this model of each run [default: candidates]."
        ),
    ] = "",
    json_output: Annotated[bool, typer.Option("--json", help="Print JSON instead.")] = False,
    csv_file: Annotated[
        str, typer.Option("--csv", metavar="FILE", help="Also write all numbers to this file.")
    ] = "",
) -> None:
    """Put finished runs side by side, with the differences to the first and their intervals."""
    from genreflow.cli import compare as cli_compare

    finish(cli_compare.compare, work_dirs, model=model, json_output=json_output, csv_file=csv_file)


@app.command()
def report(
    work_dir: WorkDirOption = DEFAULT_WORK_DIR,
    open_it: Annotated[
        Optional[bool],  # noqa: UP045
        typer.Option(
            "--open/--no-open",
            help="Show it in a browser [default: at a terminal with a display].",
        ),
    ] = None,
) -> None:
    """Print where the last run's report is, and show it."""
    from genreflow.cli import report as cli_report

    finish(cli_report.report, work_dir, wanted=open_it)


@app.command()
def devices() -> None:
    """Print what training would use here (GPUs, precision), and what is missing for more."""
    from genreflow.cli import devices as cli_devices

    finish(cli_devices.devices)


app.add_typer(commands.app, name="kubeflow")


def main() -> None:
    """The console script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Names that the terminal's encoding lacks are escaped; output never fails on them.
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except KeyboardInterrupt:  # before a command had begun
        sys.exit(EXIT_INTERRUPTED)
