"""Messages of commands on standard error, and JSON on standard output. Stays instant."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

import typer

from components.common.escape import printable
from pipeline.display.terminal import has_colours


def complain(message: str) -> None:
    """Print an error, or a problem with one of several inputs, to stderr.

    Args:
      message: what was wrong, where, and what to do; each line is escaped, and a message of its
        own.
    """
    for line in message.splitlines() or ["failed without an error message"]:
        _say("genreflow:", typer.colors.RED, printable(line))


def warn(message: str) -> None:
    """Print a warning of one line to stderr."""
    _say("genreflow: warning:", typer.colors.YELLOW, printable(message))


def print_json(content: Any) -> None:
    """Print a value as indented JSON to stdout, in ASCII, as names may be no UTF-8."""
    print(json.dumps(content, indent=2), flush=True)


def print_fields(fields: Mapping[str, str]) -> None:
    """Print one line for each field to stdout: its name and its text, in columns."""
    for name, text in fields.items():
        print(f"{name:<10} {printable(text)}")


def _say(label: str, colour: str, text: str) -> None:
    coloured = has_colours(sys.stderr)
    shown = typer.style(label, fg=colour, bold=True) if coloured else label
    typer.echo(f"{shown} {text}", err=True, color=coloured)
