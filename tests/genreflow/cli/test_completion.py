"""Tests of completion in bash, zsh and fish themselves."""

from __future__ import annotations

import os
import pathlib
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from genreflow.cli import completion
from genreflow.cli.shells import joined
from pipeline.config.load import load_config, shipped_names
from tests.support import ROOT

PROGRAM = "from genreflow.cli.app import main; main()"
SECONDS = 30.0

# What is typed, and what it becomes where only one word fits.
LINES = [
    ("genreflow kubef", "genreflow kubeflow"),
    ("genreflow run --data-d", "genreflow run --data-dir"),
    ("genreflow kubeflow subm", "genreflow kubeflow submit"),
    ("genreflow check-data -c dem", "genreflow check-data -c demo"),
    ("genreflow run -c own", "genreflow run -c own.toml"),
    ("genreflow run --set training.epoc", "genreflow run --set training.epochs="),
    ("genreflow run --set models.crnn.drop", "genreflow run --set models.crnn.dropout="),
    ("genreflow label --runner fl", "genreflow label --runner flink"),
    ("genreflow run --set=training.epoc", "genreflow run --set=training.epochs="),
    ("genreflow run --set split.policy=by_a", "genreflow run --set split.policy=by_artist"),
    ("genreflow run --set gate.beats_baseline=f", "genreflow run --set gate.beats_baseline=false"),
    ("genreflow run --set=split.policy=off", "genreflow run --set=split.policy=official"),
    ("genreflow run --config=dem", "genreflow run --config=demo"),
    ("genreflow download weights musicnn_", "genreflow download weights musicnn_vgg"),
]


@pytest.fixture
def environment(tmp_path: pathlib.Path) -> dict[str, str]:
    """Return an environment whose PATH has `genreflow`; its home is the test's folder."""
    program = tmp_path / "bin" / "genreflow"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\nexec '{sys.executable}' -c '{PROGRAM}' \"$@\"\n")
    program.chmod(0o755)
    (tmp_path / "own.toml").write_text("")
    return {
        "PATH": f"{program.parent}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "PYTHONPATH": str(ROOT),
        "TERM": "xterm",
        "LC_ALL": "C.UTF-8",
    }


def _shell(shell: str, script: str, environment: dict[str, str], arguments: list[str]) -> list[str]:
    done = subprocess.run(
        [shell, "-c", script, *arguments], cwd=environment["HOME"], env=environment,
        capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def _in_fish(fish: str, line: str, environment: dict[str, str]) -> list[str]:
    script = "_GENREFLOW_COMPLETE=source_fish genreflow | source; complete -C $argv"
    found = _shell(fish, script, environment, [line])
    return [one.split("\t")[0] for one in found]


def _at_a_terminal(
    shell: str, options: list[str], script: str, line: str, environment: dict[str, str]
) -> str:
    """Return the line after a press of Tab, in a shell at a terminal.

    Args:
      shell: the program.
      options: its options.
      script: loads the completion, and makes Ctrl-X print the line as `<<line>>`.
      line: what is typed.
      environment: the shell's; its home is its folder.
    """
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(environment["HOME"])
        os.execve(shell, [os.path.basename(shell), *options], environment)

    def read_until(mark: bytes) -> bytes:
        seen, end = b"", time.monotonic() + SECONDS
        while mark not in seen:
            assert time.monotonic() < end, seen
            if select.select([terminal], [], [], 0.1)[0]:
                seen += os.read(terminal, 1 << 16)
        return seen

    try:
        os.write(terminal, f"{script}; echo REA''DY\n".encode())
        read_until(b"READY")
        os.write(terminal, line.encode() + b"\t\x18")
        seen = read_until(b">>")
        return seen.rpartition(b"<<")[2].partition(b">>")[0].decode()
    finally:
        os.kill(child, 9)
        os.close(terminal)
        os.waitpid(child, 0)


def _in_bash(line: str, environment: dict[str, str]) -> str:
    script = (
        'eval "$(_GENREFLOW_COMPLETE=source_bash genreflow)"; '
        'bind -x \'"\\C-x": printf "<<%s>>" "$READLINE_LINE"\''
    )
    options = ["--norc", "--noprofile", "-i"]
    return _at_a_terminal("/bin/bash", options, script, line, environment)


def _in_zsh(zsh: str, line: str, environment: dict[str, str]) -> str:
    script = (
        "unsetopt zle_bracketed_paste; autoload -U compinit; compinit -u -D; "
        'eval "$(_GENREFLOW_COMPLETE=source_zsh genreflow)"; '
        "show() { print -r -- \"<<$BUFFER>>\" }; zle -N show; bindkey '^X' show"
    )
    return _at_a_terminal(zsh, ["-f", "-i"], script, line, environment)


def _spaced(whole: str) -> str:
    """Return a completed line with the space that ends a word, unless its value is to come."""
    return whole if whole.endswith("=") else f"{whole} "


@pytest.mark.parametrize(("line", "whole"), LINES)
def test_bash_completes(line: str, whole: str, environment: dict[str, str]) -> None:
    assert _in_bash(line, environment) == _spaced(whole)


def test_bash_completes_in_quotes(environment: dict[str, str]) -> None:
    line = "genreflow run --set 'split.policy=by_a"
    assert _in_bash(line, environment) == "genreflow run --set 'split.policy=by_artist' "


@pytest.mark.parametrize(
    ("words", "at", "typed", "broken"),
    [
        (["genreflow", "run", "--set", "a.b", "=", "c"], 5, ["--set", "a.b=c"], "a.b="),
        (["genreflow", "run", "--set", "a.b", "="], 4, ["--set", "a.b="], "a.b="),
        (["genreflow", "run", "--set", "=", "a.b", "=", "c"], 6, ["--set=a.b=c"], "a.b="),
        (["genreflow", "run", "--config", "=", "de"], 4, ["--config=de"], ""),
        (["genreflow", "run", "--set", "a.b", "=", "c", "-d"], 6, ["--set", "a.b=c", "-d"], ""),
        (["genreflow", "run", "--set", "a.b", "=", "c", ""], 6, ["--set", "a.b=c", ""], ""),
        (["genreflow", "run", "--set", "'a.b=c"], 3, ["--set", "'a.b=c"], ""),
        (["genreflow", "run", "--set", "a.b", "=", "c", "--json"], 5, ["--set", "a.b=c"], "a.b="),
    ],
)
def test_words_that_bash_broke_are_joined(
    words: list[str], at: int, typed: list[str], broken: str
) -> None:
    expected = ["genreflow", "run", *typed]
    assert joined(words, at) == (expected, len(expected) - 1, broken)


def test_completing_takes_no_second_longer_than_the_help(environment: dict[str, str]) -> None:
    environment |= {"COMP_WORDS": "genreflow\nrun\n--set\nsplit.policy\n=\nby_", "COMP_CWORD": "5"}
    began = time.monotonic()
    _shell("bash", "genreflow --help", environment, [])
    help_seconds = time.monotonic() - began
    script = "_GENREFLOW_COMPLETE=complete_bash genreflow"
    found = _shell("bash", script, environment, [])
    assert found == ["by_artist", "by_track", "by_clip"]
    assert time.monotonic() - began < 2 * help_seconds + 1


@pytest.mark.parametrize(("line", "whole"), LINES[::4])
def test_fish_completes(
    line: str, whole: str, environment: dict[str, str], requires_program: Callable[..., str]
) -> None:
    fish = requires_program("fish", "fish")
    assert _in_fish(fish, line, environment) == [whole.split()[-1]]


@pytest.mark.parametrize(("line", "whole"), LINES[::3])
def test_zsh_completes(
    line: str, whole: str, environment: dict[str, str], requires_program: Callable[..., str]
) -> None:
    zsh = requires_program("zsh", "zsh")
    assert _in_zsh(zsh, line, environment) == _spaced(whole)


def test_settings_have_their_values_and_every_key_can_be_set() -> None:
    assert completion.settings("split.policy=by_") == [
        "split.policy=by_artist",
        "split.policy=by_track",
        "split.policy=by_clip",
    ]
    assert completion.settings("gate.beats_b") == ["gate.beats_baseline="]
    assert completion.settings("gate.beats_baseline=t") == ["gate.beats_baseline=true"]
    assert "audio.evaluation_clips=all" in completion.settings("audio.evaluation_clips=")
    assert completion.settings("training.epochs=") == []
    config = load_config("demo").to_json()
    keys = set(completion.settings(""))
    for table in ("training", "gate", "audio", "beam"):
        assert {f"{table}.{key}=" for key in config[table]} & keys
    assert "kubeflow.image=" in keys
    assert "models.vgg16.dropout=" in keys


def test_configurations_are_the_shipped_ones_and_files_whose_names_no_shell_evaluates(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("mine.toml", "my file.toml", "$(x).toml", "a'b.toml", "`x`.toml", "\\$(x).toml"):
        (tmp_path / name).write_text("")
    assert completion.configurations("") == [*shipped_names(), "mine.toml"]
    assert completion.configurations("m") == ["mine.toml"]
    assert completion.configurations("./m") == ["./mine.toml"]


def test_it_completes_without_anything_heavy() -> None:
    code = (
        "import sys\n"
        "from genreflow.cli import completion as c\n"
        "for one in (c.configurations, c.settings, c.networks, c.downloads, c.runners):\n"
        "    assert one('')\n"
        "print(sorted({'tensorflow', 'pydantic', 'numpy', 'rich', 'pandas'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
