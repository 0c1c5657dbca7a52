"""Suggested command lines: whole, quoted, and the same that the user has typed."""

from __future__ import annotations

import pathlib
import shlex
import sys

import pytest

from components.common.errors import DataError
from components.spectrogram_gen.reject_hint import LIST_REJECTS
from genreflow.suggested import Typed, line_of, program

MUSIC = "/my music/it's"
TYPED = Typed("c.toml", MUSIC, ["training.epochs=3", 'dataset.genres=["A"]'])


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    (tmp_path / "genreflow").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))


def test_a_line_has_everything_that_was_typed() -> None:
    assert shlex.split(TYPED.line("run", "--work-dir", "w 1")) == [
        "genreflow", "run", "--config", "c.toml", "--data-dir", MUSIC,
        "--set", "training.epochs=3", "--set", 'dataset.genres=["A"]', "--work-dir", "w 1",
    ]  # fmt: skip
    assert Typed("demo").line("run") == "genreflow run --config demo"


def test_an_error_names_the_whole_line_that_lists_rejects() -> None:
    error = TYPED.complete(DataError(f"bad. List each: {LIST_REJECTS}"))
    assert isinstance(error, DataError)
    start, line = str(error).split("each: ")
    assert start == "bad. List "
    assert shlex.split(line)[1:6] == ["check-data", "--config", "c.toml", "--data-dir", MUSIC]
    assert line.endswith(" --full --rejects left_out.csv")
    assert str(TYPED.complete(DataError("bad"))) == "bad"


def test_the_program_is_named_as_it_can_be_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert program() == "genreflow"
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(sys, "argv", ["-c"])
    assert program() == "genreflow"
    monkeypatch.setattr(sys, "argv", [".venv/bin/genreflow", "run"])
    assert program() == ".venv/bin/genreflow"
    assert program("tensorboard") == ".venv/bin/tensorboard"
    assert line_of("serve", "a b") == ".venv/bin/genreflow serve 'a b'"
