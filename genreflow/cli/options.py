"""Options that several commands take."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from genreflow.cli import completion

DEFAULT_WORK_DIR = "./genreflow-work"

ConfigOption = Annotated[
    str,
    typer.Option(
        "--config",
        "-c",
        metavar="NAME|FILE",
        help="A TOML file, or the name of a shipped one, such as demo.",
        autocompletion=completion.configurations,
    ),
]
DataDirOption = Annotated[
    str,
    typer.Option(
        "--data-dir",
        "-d",
        metavar="FOLDER",
        help="Folder of the data set: a path or s3://bucket/folder [default: as configured].",
    ),
]
SetOption = Annotated[
    Optional[list[str]],  # noqa: UP045  typer reads the annotation at run time
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override a setting, such as training.epochs=3; repeatable.",
        autocompletion=completion.settings,
    ),
]
WorkDirOption = Annotated[
    str,
    typer.Option("--work-dir", "-w", metavar="FOLDER", help="Folder for all output and caches."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead.")]
