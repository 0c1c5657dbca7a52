"""Options that several commands take."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

DEFAULT_WORK_DIR = "./genreflow-work"

ConfigOption = Annotated[
    str,
    typer.Option("--config", "-c", help="TOML file, or the name of a shipped one, such as demo."),
]
DataDirOption = Annotated[
    str,
    typer.Option(
        "--data-dir",
        "-d",
        help="Folder of the data set: a path or s3://bucket/folder [default: as configured].",
    ),
]
SetOption = Annotated[
    Optional[list[str]],  # noqa: UP045  typer reads the annotation at run time
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override a setting, e.g. training.epochs=3; repeatable.",
    ),
]
WorkDirOption = Annotated[
    str, typer.Option("--work-dir", "-w", help="Folder for all output and caches.")
]
