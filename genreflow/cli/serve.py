"""`genreflow serve`: a model server on this machine."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import os
import sys
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any

import typer

from components.common.errors import UsageError
from components.common.escape import printable
from components.storage.uri import checked_place, is_remote
from genreflow.cli.exit import command
from genreflow.cli.help import USE, shown
from serving.server.config.options import OptionError, ServeOptions, flag, info


def run(values: Mapping[str, Any]) -> int:
    """Serve models until a signal arrives, and return the exit status.

    Args:
      values: the fields of ServeOptions as typed.

    Raises:
      UsageError: an option or a model cannot be used.
    """
    from serving.model.model_files import ModelFolderError
    from serving.server import run as server

    try:
        options = ServeOptions(**values)
        if options.model_dir:
            options = dataclasses.replace(options, model_dir=local_folder(options.model_dir))
        return server.serve(options, _say, _warn, _spinner)
    except (OptionError, ModelFolderError) as error:
        raise UsageError(str(error)) from error


def local_folder(model_dir: str) -> str:
    """Return the folder of --model-dir, which must be on this machine.

    Raises:
      UsageError: it is in an object store.
    """
    folder = checked_place(model_dir, "--model-dir")
    if is_remote(folder):
        raise UsageError(
            f"{folder}: a server watches its folder for new versions, which works on a local disk "
            f"only; copy the model (aws s3 sync {folder} models) and serve that folder"
        )
    return folder


def _say(line: str) -> None:
    print(printable(line), flush=True)


def _warn(line: str) -> None:
    print(printable(line), file=sys.stderr, flush=True)


@contextlib.contextmanager
def _spinner() -> Iterator[None]:
    """Show a spinner at a terminal while TensorFlow and the models load."""
    from pipeline.display.console import PlainConsole

    # Of its own, as what TensorFlow writes to descriptor 2 during its import is discarded.
    with (
        open(os.dup(2), "w", encoding="utf-8") as screen,
        PlainConsole(screen).status("loading (TensorFlow takes some seconds)"),
    ):
        yield


def _command() -> Callable[..., None]:
    """Return the command for typer, with one option for each field of ServeOptions."""

    @shown(
        USE,
        "genreflow serve --model-dir genreflow-work/serving_models/genreflow",
        "genreflow serve -m models --host 0.0.0.0 --tls-cert server.pem --tls-key server.key",
    )
    def serve(**values: object) -> None:
        """Serve a model: Genreflow's own server, which speaks TensorFlow Serving's protocol."""
        command(run)(values)

    types = typing.get_type_hints(ServeOptions)
    parameters = []
    for field in dataclasses.fields(ServeOptions):
        name, option = flag(field.name), info(field)
        if field.default is None:  # on, off, or the engine's choice
            name = f"{name}/--no-{name.removeprefix('--')}"
        typer_option = typer.Option(
            *filter(None, (name, option.short)),
            metavar=option.metavar or None,
            help=option.help,
            rich_help_panel=option.group or None,
        )
        parameters.append(
            inspect.Parameter(
                field.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=field.default,
                annotation=Annotated[types[field.name], typer_option],
            )
        )
    serve.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return serve


serve = _command()
