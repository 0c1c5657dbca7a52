"""Options that several commands take."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

ConfigOption = Annotated[
    str, typer.Option("--config", "-c", help="TOML file, or the name of a shipped one (demo).")
]
DataDirOption = Annotated[
    str,
    typer.Option(
        "--data-dir",
        "-d",
        help="The data set's folder, a path or s3://bucket/folder [default: as configured].",
    ),
]
SetOption = Annotated[
    Optional[list[str]],  # noqa: UP045  typer reads the annotation at run time
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Override, e.g. training.epochs=3; repeatable."
    ),
]
