"""`genreflow serve`: a model server on this machine."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

from components.errors import UsageError
from components.inert import inert
from components.storage.uri import is_remote, place


def serve(**options: Any) -> int:
    """Serves models until told to stop; returns 0 then.

    Args:
      **options: fields of serving.server.options.ServeOptions.

    Raises:
      UsageError: an option or a model cannot be used.
    """
    from serving.model_files import ModelFolderError
    from serving.server import engines
    from serving.server.options import OptionError, ServeOptions

    model_dir = options["model_dir"]
    if model_dir:
        options["model_dir"] = _local(model_dir)
    try:
        return engines.serve(ServeOptions(**options), _say, _warn, _loading)
    except (OptionError, ModelFolderError) as error:
        raise UsageError(str(error)) from error


def _local(model_dir: str) -> str:
    where = place(model_dir, "--model-dir")
    if is_remote(where):
        raise UsageError(
            f"{where}: a server watches its folder for new versions, which it does on a local disk "
            f"only; copy the model (aws s3 sync {where} models) and serve that folder"
        )
    return where


def _say(line: str) -> None:
    print(inert(line), flush=True)


def _warn(line: str) -> None:
    print(inert(line), file=sys.stderr, flush=True)


@contextlib.contextmanager
def _loading() -> Iterator[None]:
    """A spinner at a terminal, for the seconds that TensorFlow takes."""
    from rich.console import Console

    with Console(stderr=True).status("loading (TensorFlow takes some seconds)"):
        yield
