"""Tests of the command line's help and of its answers to wrong command lines."""

from __future__ import annotations

import inspect
import io
import re
import shlex
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from genreflow.cli import help as cli_help
from genreflow.cli.app import app
from genreflow.cli.exit import EXIT_STATUSES, EXIT_USAGE
from genreflow.cli.help import App, first_sentence
from genreflow.cli.messages import complain
from pipeline.display.terminal import has_colours, is_live

ROOT_COMMAND: Any = typer.main.get_command(app)
WIDTH = 80


def _commands(group: Any = ROOT_COMMAND, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Yield every command and group below a group, with the words that call it."""
    for name, command in group.commands.items():
        words = (*path, name)
        yield " ".join(words), command
        if hasattr(command, "commands"):
            yield from _commands(command, words)


COMMANDS = dict(_commands())
LEAVES = {name: command for name, command in COMMANDS.items() if not hasattr(command, "commands")}


def _help(*words: str) -> str:
    result = CliRunner().invoke(app, [*words, "--help"], terminal_width=WIDTH)
    assert result.exit_code == 0, result.output
    return result.stdout


def _parse(words: list[str]) -> None:
    """Parse a command line with the real parser, without running it."""
    context, command = None, ROOT_COMMAND
    while True:
        context = command.make_context("genreflow", list(words), parent=context)
        if not hasattr(command, "commands"):
            return
        words = [*context._protected_args, *context.args]
        _, command, words = command.resolve_command(context, words)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_the_style_a_group_and_a_whole_sentence(name: str) -> None:
    command = COMMANDS[name]
    assert isinstance(command, (cli_help.Command, cli_help.Group))
    assert first_sentence(command.help).endswith(".")
    if " " not in name:
        assert command.presentation.group in set(cli_help.GROUPS) - {cli_help.OTHER}


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_no_help_cuts_a_sentence_or_shows_a_type(name: str) -> None:
    shown = _help(*name.split())
    assert "..." not in re.sub(r"[A-Z]\.\.\.|\[ARGS\]\.\.\.|s3://\.\.\.|=\.\.\.", "", shown)
    assert not re.search(r"<[a-z \[\]|]+>", shown)
    examples = shown.partition("Examples:\n")[2].splitlines()
    body = [line for line in shown.splitlines() if line not in examples]
    assert max(map(len, body)) <= WIDTH


@pytest.mark.parametrize(
    ("name", "option"),
    [
        (name, option)
        for name, command in LEAVES.items()
        for option in command.params
        if option.param_type_name == "option" and not option.is_flag and not option.hidden
    ],
    ids=lambda value: value if isinstance(value, str) else value.opts[0],
)
def test_every_option_names_what_it_takes_in_capitals(name: str, option: Any) -> None:
    assert option.metavar, f"{name} {option.opts[0]}"
    if "|" not in option.metavar:
        assert option.metavar == option.metavar.upper()


@pytest.mark.parametrize("name", LEAVES)
def test_every_command_has_examples_of_itself(name: str) -> None:
    examples = LEAVES[name].presentation.examples
    assert examples
    for example in examples:
        assert example.startswith(f"genreflow {name}")
        assert f"  {example}\n" in _help(*name.split())


@pytest.mark.parametrize(
    "example", [line for command in LEAVES.values() for line in command.presentation.examples]
)
def test_every_example_is_a_valid_command_line(example: str) -> None:
    words = shlex.split(re.split(r" [<>|] ", example)[0])
    _parse(words[1:])


def test_an_example_that_is_no_command_line_would_be_noticed() -> None:
    with pytest.raises(typer.TyperException):
        _parse(["run", "--confg", "demo"])
    with pytest.raises(typer.TyperException):
        _parse(["run"])


def test_the_main_help_lists_the_commands_by_groups_and_the_exit_statuses() -> None:
    shown = _help()
    places = [shown.index(f"\n{title}:\n") for title in cli_help.GROUPS[:-1]]
    assert places == sorted(places)
    assert f"{cli_help.OTHER}:" not in shown
    flat = " ".join(shown.split())
    for status, meaning in EXIT_STATUSES.items():
        assert f"{status} {' '.join(meaning.split())}" in flat
    assert "Exit status:" not in _help("run")


def test_without_a_word_it_shows_its_help_and_the_usage_status() -> None:
    for words in ([], ["kubeflow"]):
        result = CliRunner().invoke(app, words)
        assert result.exit_code == EXIT_USAGE
        assert result.stderr.startswith("Usage: genreflow")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("rnu", "there is no command 'rnu'; did you mean run?"),
        ("zzzz", "there is no command 'zzzz'; see genreflow --help"),
        ("kubeflow smbit", "there is no command 'smbit'; did you mean submit?"),
        ("run --confg x", "there is no option '--confg'; did you mean --config?"),
        ("run -z", "there is no option '-z'; see genreflow run --help"),
        ("run", "missing option --config NAME|FILE; see genreflow run --help"),
        ("compare", "missing argument WORK_DIR...; see genreflow compare --help"),
        ("run --config dmeo", "no shipped configuration 'dmeo'; did you mean demo? There are "),
    ],
)
def test_a_wrong_command_line_is_answered_in_one_line(line: str, message: str) -> None:
    result = CliRunner().invoke(app, line.split())
    assert result.exit_code == EXIT_USAGE
    assert result.stdout == ""
    assert result.stderr.startswith(f"genreflow: {message}")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("name", LEAVES)
def test_every_command_ends_as_the_table_of_statuses_says(name: str) -> None:
    result = CliRunner().invoke(app, [*name.split(), "--no-such-option"])
    assert (result.exit_code, result.stdout) == (EXIT_USAGE, "")
    assert result.stderr.startswith("genreflow: there is no option '--no-such-option'; ")
    # Its work is wrapped by the one function that turns errors into statuses.
    source = inspect.getsource(sys.modules[_work_of(LEAVES[name]).__module__])
    assert "from genreflow.cli.exit import" in source
    assert re.search(r"@command\n|command\(\w+\)\(", source)


def _work_of(command: Any) -> Any:
    return inspect.unwrap(command.callback)


def test_a_wrong_word_reaches_the_terminal_escaped() -> None:
    result = CliRunner().invoke(app, ["\x1b[31mrun\u202e"])
    assert "\x1b" not in result.stderr
    assert "\u202e" not in result.stderr


def test_options_come_in_their_groups_and_ranges_in_words() -> None:
    local = App("x", "Do x.")

    @local.command("go")
    @cli_help.shown(cli_help.OTHER, "x go --speed 3")
    def go(
        speed: int = typer.Option(2, metavar="N", min=1, max=9, help="Speed [default: slow]."),
        far: bool = typer.Option(False, "--far", help="Go far.", rich_help_panel="Distance"),
    ) -> None:
        """Go somewhere. Or not."""

    @local.command("stay")
    def stay() -> None:
        """Stay."""

    shown = CliRunner().invoke(local, ["go", "--help"]).stdout
    assert "  --speed N  Speed [default: slow]. [default: 2; 1 to 9]\n" in shown
    assert "\nDistance:\n  --far  Go far.\n" in shown
    assert shown.endswith("\nExamples:\n  x go --speed 3\n")
    assert "  go    Go somewhere.\n" in CliRunner().invoke(local, ["--help"]).stdout


class _Stream(io.StringIO):
    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@pytest.mark.parametrize(
    ("terminal", "environ", "colours", "live"),
    [
        (True, {}, True, True),
        (False, {}, False, False),
        (True, {"NO_COLOR": "1"}, False, True),
        (True, {"NO_COLOR": ""}, True, True),
        (True, {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False, True),
        (True, {"TERM": "dumb"}, False, False),
        (True, {"CLICOLOR": "0"}, False, True),
        (False, {"CLICOLOR_FORCE": "1"}, True, False),
        (False, {"FORCE_COLOR": "3"}, True, False),
        (False, {"FORCE_COLOR": "0"}, False, False),
        (True, {"TERM": "dumb", "CLICOLOR_FORCE": "1"}, True, False),
    ],
)
def test_colours_and_bars_follow_the_terminal_and_its_variables(
    terminal: bool, environ: dict[str, str], colours: bool, live: bool
) -> None:
    stream = _Stream(terminal)
    assert has_colours(stream, environ) == colours
    assert is_live(stream, environ) == live


@pytest.mark.parametrize(
    ("variables", "escapes"),
    [({}, False), ({"CLICOLOR_FORCE": "1"}, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False)],
)
def test_errors_and_tables_have_colours_by_one_rule(
    variables: dict[str, str],
    escapes: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from pipeline.display.console import PlainConsole

    for name in ("NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "CLICOLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    complain("wrong\nand \x1b[1mmore")
    PlainConsole().say(("green", "green"))
    seen = capsys.readouterr()
    assert ("\x1b[" in seen.err) == escapes
    assert ("\x1b[32m" in seen.out) == escapes
    plain = re.sub(r"\x1b\[[\d;]*m", "", seen.err)
    assert plain == "genreflow: wrong\ngenreflow: and \\x1b[1mmore\n"
