"""`python -m serving.server`: the options of `genreflow serve`, without the rest of the CLI."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from typing import Any

from components.common.parent import exit_at_end_of_input
from serving.model.model_files import ModelFolderError
from serving.server.config.options import OptionError, ServeOptions

EXIT_USAGE = 2


def parse(arguments: Sequence[str]) -> ServeOptions:
    """The options; argparse ends the process with 2 where one is unknown.

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
        kind: dict[str, Any] = {"type": type(default)}
        if str(field.type).startswith("bool"):
            kind = {"action": argparse.BooleanOptionalAction}
        parser.add_argument(f"--{field.name.replace('_', '-')}", default=default, **kind)
    parser.add_argument(
        "--exit-with-parent",
        action="store_true",
        help="end when standard input is closed, as by whoever started this when that ends",
    )
    told = vars(parser.parse_args(arguments))
    if told.pop("exit_with_parent"):
        exit_at_end_of_input(with_group=True)
    return ServeOptions(**told)


def main(arguments: Sequence[str]) -> int:
    """Serves; the exit status. Mistakes are told in one line."""
    from serving.server import engines

    try:
        return engines.serve(parse(arguments), say=_say, warn=_warn)
    except (OptionError, ModelFolderError) as error:
        _warn(f"genreflow: {error}")
        return EXIT_USAGE


def _say(line: str) -> None:
    print(_inert(line), flush=True)


def _warn(line: str) -> None:
    print(_inert(line), file=sys.stderr, flush=True)


def _inert(line: str) -> str:
    """Names of models and folders come from outside: nothing in them acts on a terminal."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in line)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
