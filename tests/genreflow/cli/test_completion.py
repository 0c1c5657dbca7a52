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


def _in_bash(line: str, environment: dict[str, str]) -> list[str]:
    script = (
        'eval "$(_GENREFLOW_COMPLETE=source_bash genreflow)"; COMP_WORDS=("$@"); '
        "COMP_CWORD=$(($# - 1)); _genreflow_completion genreflow; "
        "printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    return _shell("bash", script, environment, ["bash", *line.split()])


def _in_fish(fish: str, line: str, environment: dict[str, str]) -> list[str]:
    script = "_GENREFLOW_COMPLETE=source_fish genreflow | source; complete -C $argv"
    found = _shell(fish, script, environment, [line])
    return [one.split("\t")[0] for one in found]


def _in_zsh(zsh: str, line: str, environment: dict[str, str]) -> str:
    """Return the line after a press of Tab, in zsh at a terminal."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(environment["HOME"])
        os.execve(zsh, ["zsh", "-f", "-i"], environment)

    def read_until(mark: bytes) -> bytes:
        seen, end = b"", time.monotonic() + SECONDS
        while mark not in seen:
            assert time.monotonic() < end, seen
            if select.select([terminal], [], [], 0.1)[0]:
                seen += os.read(terminal, 1 << 16)
        return seen

    try:
        # A key that prints the line as it is then.
        script = (
            "unsetopt zle_bracketed_paste; autoload -U compinit; compinit -u -D; "
            'eval "$(_GENREFLOW_COMPLETE=source_zsh genreflow)"; '
            "show() { print -r -- \"<<$BUFFER>>\" }; zle -N show; bindkey '^X' show; "
            "print REA''DY\n"
        )
        os.write(terminal, script.encode())
        read_until(b"READY")
        os.write(terminal, line.encode() + b"\t\x18")
        seen = read_until(b">>")
        return seen.rpartition(b"<<")[2].partition(b">>")[0].decode()
    finally:
        os.kill(child, 9)
        os.close(terminal)
        os.waitpid(child, 0)


@pytest.mark.parametrize(("line", "whole"), LINES)
def test_bash_completes(line: str, whole: str, environment: dict[str, str]) -> None:
    assert _in_bash(line, environment) == [whole.split()[-1]]


@pytest.mark.parametrize(("line", "whole"), LINES[::4])
def test_fish_completes(
    line: str, whole: str, environment: dict[str, str], requires_program: Callable[..., str]
) -> None:
    fish = requires_program("fish", "fish")
    assert _in_fish(fish, line, environment) == [whole.split()[-1]]


@pytest.mark.parametrize(("line", "whole"), LINES[::5])
def test_zsh_completes(
    line: str, whole: str, environment: dict[str, str], requires_program: Callable[..., str]
) -> None:
    zsh = requires_program("zsh", "zsh")
    assert _in_zsh(zsh, line, environment).rstrip() == whole


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
