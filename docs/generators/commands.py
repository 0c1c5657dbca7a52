"""Reference of the command line, from the commands themselves."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import typer.main

from genreflow.cli.app import app
from genreflow.cli.help import Command, Group

ARGUMENTS, OPTIONS = "Arguments", "Options"


def commands() -> Iterator[tuple[tuple[str, ...], Command]]:
    """Yield each command that does something, under the words that call it, in help's order."""
    yield from _commands(("genreflow",), typer.main.get_command(app))


def _commands(words: tuple[str, ...], command: Any) -> Iterator[tuple[tuple[str, ...], Command]]:
    if isinstance(command, Group):
        for name, one in command.commands.items():
            if not one.hidden:
                yield from _commands((*words, name), one)
    else:
        yield words, command


def commands_page() -> str:
    """Return all commands as Markdown, each under a heading of its own."""
    return "\n\n".join(_section(words, command) for words, command in commands())


def _section(words: tuple[str, ...], command: Command) -> str:
    context = typer.Context(command, info_name=words[-1])
    usage = " ".join([*words, *command.collect_usage_pieces(context)])
    parts = [f"## {' '.join(words)}", _code("text", usage), _prose(command.help or "")]
    for title, rows in _groups(command, context).items():
        head = [f"| {title.lower()} | |", "|---|---|"]
        parts.append("\n".join([":::{container} rows", *head, *rows, ":::"]))
    if command.presentation.examples:
        parts.append(_code("sh", "\n".join(command.presentation.examples)))
    return "\n\n".join(part for part in parts if part)


def _groups(command: Command, context: typer.Context) -> dict[str, list[str]]:
    """Return the rows of the arguments and options by their groups, as the help has them."""
    groups: dict[str, list[str]] = {}
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record is not None and "--help" not in parameter.opts:
            title = getattr(parameter, "rich_help_panel", None) or OPTIONS
            name, meaning = record
            if parameter.param_type_name == "argument":
                title, name = ARGUMENTS, re.sub(r" <[^>]*>$", "", name)  # of the value's type
            groups.setdefault(title, []).append(f"| `{_cell(name)}` | {_escaped(_cell(meaning))} |")
    return groups


def _prose(text: str) -> str:
    """Return a help text as Markdown. A paragraph after `\\b` keeps its lines."""
    paragraphs = re.split(r"\n{2,}", inspect.cleandoc(text.split("\f")[0]))
    return "\n\n".join(
        _code("text", part.removeprefix("\b").strip("\n"))
        if part.startswith("\b")
        else _escaped(part)
        for part in paragraphs
    )


def _code(language: str, text: str) -> str:
    return f"```{language}\n{text}\n```"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _escaped(text: str) -> str:
    """Return plain text so that Markdown shows it as it is."""
    return re.sub(r"([<*\[\]`])", r"\\\1", text)
