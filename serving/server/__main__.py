"""`python -m serving.server`: the options of `genreflow serve`, without the rest of the CLI."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from typing import Any

from components.common.escape import printable
from components.common.parent import exit_at_end_of_input
from serving.model.model_files import ModelFolderError
from serving.server.config.options import OptionError, ServeOptions, flag, info

EXIT_USAGE = 2


def parse(arguments: Sequence[str]) -> ServeOptions:
    """Parse the command line. argparse exits with 2 if an option is unknown.

    Raises:
      OptionError: a value cannot be used.
    """
    parser = argparse.ArgumentParser(
        prog="python -m serving.server",
        description="Genreflow's own server, which speaks TensorFlow Serving's protocol.",
        allow_abbrev=False,
    )
    for field in dataclasses.fields(ServeOptions):
        default: Any = field.default
        kind: dict[str, Any] = {"type": type(default), "metavar": info(field).metavar or None}
        if str(field.type).startswith("bool"):
            kind = {"action": argparse.BooleanOptionalAction}
        text = (
            info(field).help if default in ("", None, False) else f"{info(field).help} [{default}]"
        )
        parser.add_argument(flag(field.name), default=default, help=text, **kind)
    parser.add_argument(
        "--exit-with-parent",
        action="store_true",
        help="exit when standard input is closed, which happens when the parent process ends",
    )
    values = vars(parser.parse_args(arguments))
    if values.pop("exit_with_parent"):
        exit_at_end_of_input(with_group=True)
    return ServeOptions(**values)


def main(arguments: Sequence[str]) -> int:
    """Serve, and return the exit status. An error in the options is printed as one line."""
    from serving.server import run

    try:
        return run.serve(parse(arguments), say=_say, warn=_warn)
    except (OptionError, ModelFolderError) as error:
        _warn(f"genreflow: {error}")
        return EXIT_USAGE


def _say(line: str) -> None:
    print(printable(line), flush=True)


def _warn(line: str) -> None:
    print(printable(line), file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
