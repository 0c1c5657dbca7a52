"""Genreflow's style of help and of wrong command lines, for typer. Importing it stays instant.

typer draws groups of options and of commands (`rich_help_panel`) only with rich, whose import costs
more than the whole help. The classes here write them with typer's plain formatter.
"""

from __future__ import annotations

import collections
import dataclasses
import inspect
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

from genreflow.cli.exit import EXIT_INTERRUPTED, EXIT_STATUSES, EXIT_USAGE
from genreflow.cli.messages import complain
from genreflow.cli.usage import explained, suggestion, swapped, wrong_usage

F = TypeVar("F", bound=Callable[..., Any])

# Titles of the groups of commands, in the order of the main help.
DATA = "Data and this machine"
TRAINING = "Training"
USE = "Using a model"
CLUSTERS = "Clusters"
OTHER = "Commands"
GROUPS = (DATA, TRAINING, USE, CLUSTERS, OTHER)

_FIRST_SENTENCE = re.compile(r".*?\.(?=\s|$)", re.DOTALL)
_ATTRIBUTE = "genreflow_presentation"


@dataclasses.dataclass(frozen=True)
class Presentation:
    """Place of a command in the help, and its examples.

    Attributes:
      group: its group in the list of commands, one of GROUPS.
      examples: command lines, which a test parses.
    """

    group: str = OTHER
    examples: tuple[str, ...] = ()


def shown(group: str, *examples: str) -> Callable[[F], F]:
    """Decorate a command with its place in the help and its examples.

    Args:
      group: title of its group, one of GROUPS.
      *examples: command lines, each at most 76 characters.
    """

    def decorate(work: F) -> F:
        work.__dict__[_ATTRIBUTE] = Presentation(group, examples)
        return work

    return decorate


class App(typer.Typer):
    """Application, or group of commands, whose help and errors have Genreflow's style."""

    def __init__(self, name: str, help_text: str, group: str = OTHER, **options: Any) -> None:
        """Make an application without commands.

        Args:
          name: its name on the command line.
          help_text: one sentence.
          group: its group in the list of the application that contains it.
          **options: further options of typer.
        """
        super().__init__(
            name=name,
            help=help_text,
            cls=Group,
            rich_help_panel=group,
            no_args_is_help=True,
            pretty_exceptions_enable=False,
            rich_markup_mode=None,
            **options,
        )

    def command(self, name: str | None = None, **options: Any) -> Callable[[F], F]:
        """Return a decorator that adds a command; see typer.Typer.command."""
        return super().command(name, cls=Command, **options)

    def add_app(self, app: App) -> None:
        """Add another application as a group of commands."""
        # typer passes on most of its settings, but not this one.
        self.add_typer(app, rich_help_panel=app.rich_help_panel)


class Command(TyperCommand):
    """Command whose help has groups of options, and examples."""

    @property
    def presentation(self) -> Presentation:
        """The command's place in the help, and its examples."""
        return getattr(self.callback, _ATTRIBUTE, Presentation())

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the words after the command.

        Raises:
          typer.TyperException: they cannot be used; wrong_usage says why.
        """
        words = list(args)
        with explained(ctx):
            try:
                return super().parse_args(ctx, args)
            except typer.BadParameter as error:
                typed, _, _ = self.make_parser(ctx).parse_args(args=words)
                if hint := swapped(ctx, typed, error):
                    ctx.fail(hint)
                raise

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the words after the command in its first line of help."""
        arguments = [one for one in self.get_params(ctx) if one.param_type_name == "argument"]
        return [self.options_metavar or "", *map(_argument, arguments)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, and the options by their groups."""
        _write_parameters(self, ctx, formatter)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples."""
        if self.presentation.examples:
            with formatter.section("Examples"):
                for line in self.presentation.examples:
                    formatter.write(f"{'':{formatter.current_indent}}{line}\n")


class Group(TyperGroup):
    """Group of commands whose help has groups of commands and the exit statuses."""

    @property
    def presentation(self) -> Presentation:
        """The group's place in the help of the group above it."""
        return Presentation(self.rich_help_panel or OTHER)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the commands by their groups, and the options."""
        rows: dict[str, list[tuple[str, str]]] = collections.defaultdict(list)
        for name in self.list_commands(ctx):
            found = self.get_command(ctx, name)
            if isinstance(found, (Command, Group)) and not found.hidden:
                rows[found.presentation.group].append((name, first_sentence(found.help or "")))
        for title in GROUPS:
            if rows[title]:
                with formatter.section(title):
                    formatter.write_dl(rows[title])
        _write_parameters(self, ctx, formatter)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the exit statuses, under the main help."""
        if ctx.parent is None:
            with formatter.section("Exit status"):
                formatter.write_dl([(str(key), text) for key, text in EXIT_STATUSES.items()])

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the group's own options; without any word, show the help."""
        if not args and self.no_args_is_help and not ctx.resilient_parsing:
            typer.echo(ctx.get_help(), err=True)
            raise typer.Exit(EXIT_USAGE)
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that the first word names; of an unknown one say what is near."""
        name = args[0]
        if not (ctx.resilient_parsing or name in self.commands or name.startswith("-")):
            ctx.fail(f"there is no command {name!r}{suggestion(name, list(self.commands))}")
        return super().resolve_command(ctx, args)

    def main(  # type: ignore[override]  # typer's own caller passes no more than these
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command line; a wrong one ends with one line on stderr.

        Args:
          args: the words; None for the process's.
          prog_name: name of the program; None for the group's.
          standalone_mode: whether to end the process, with the exit status.
          **extra: of typer.
        """
        status = EXIT_INTERRUPTED
        name = prog_name or self.name
        try:
            status = super().main(args, name, standalone_mode=False, **extra)
        except typer.Abort:
            pass
        except typer.TyperException as error:
            if not standalone_mode:
                raise
            complain(wrong_usage(error))
            status = error.exit_code
        if standalone_mode:
            sys.exit(status)
        return status


def first_sentence(text: str) -> str:
    """Return the first sentence of a docstring as one line."""
    paragraph = " ".join(inspect.cleandoc(text).split("\n\n")[0].split())
    found = _FIRST_SENTENCE.match(paragraph)
    return found.group() if found else paragraph


def _write_parameters(of: Any, ctx: Any, formatter: Any) -> None:
    """Write the arguments and options of a command, by their groups."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for parameter in of.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is None:
            continue
        name, text = record
        title = getattr(parameter, "rich_help_panel", None) or "Options"
        if parameter.param_type_name == "argument":
            name, title = _argument(parameter), "Arguments"
        groups.setdefault(title, []).append((name, _plain(text)))
    for title, rows in groups.items():
        with formatter.section(title):
            formatter.write_dl(rows)


def _argument(parameter: Any) -> str:
    """Return an argument's placeholder."""
    placeholder: str = parameter.metavar or parameter.name.upper()
    return placeholder if parameter.required else f"[{placeholder}]"


def _plain(text: str) -> str:
    """Return an option's help with its range in words."""
    text = re.sub(r"([-\d.]+)<=x<=([-\d.]+)", r"\1 to \2", text)
    text = re.sub(r"x>=([-\d.]+)", r"at least \1", text)
    return text.replace("  [", " [")
