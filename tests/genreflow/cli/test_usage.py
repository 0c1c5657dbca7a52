"""Tests of the messages on values that an option or an argument does not take."""

from __future__ import annotations

import math
import pathlib
import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from genreflow.cli.app import app
from genreflow.cli.usage import wrong_usage
from tests.genreflow.cli.test_help import LEAVES

BAD = ("abc", "", "nan", "1e999", "-1e999", "1.5x", "\x1b[31m7")


def _numbers() -> Iterator[tuple[str, Any]]:
    for name, command in LEAVES.items():
        for parameter in command.params:
            if re.search(r"\b(int|float)\b", str(parameter.type_descriptor.annotation)):
                yield name, parameter


NUMBERS = list(_numbers())


def _complaint(name: str, parameter: Any, value: str) -> str:
    """Return the message on a command line whose other words are right."""
    command = LEAVES[name]
    words = []
    for one in command.params:
        if one is parameter or not one.required:
            continue
        word = "1" if "int" in str(one.type_descriptor.annotation) else "x"
        words += [word] if one.param_type_name == "argument" else [f"{one.opts[0]}={word}"]
    if parameter.param_type_name == "argument":
        words = ["--", value, *words]
    else:
        words = [f"{parameter.opts[0]}={value}", *words]
    with pytest.raises(typer.TyperException) as caught:
        command.make_context(f"genreflow {name}", words)
    return wrong_usage(caught.value)


@pytest.mark.parametrize(
    ("name", "parameter"), NUMBERS, ids=[f"{name} {one.name}" for name, one in NUMBERS]
)
def test_every_number_says_what_it_takes(name: str, parameter: Any) -> None:
    bad = [*BAD]
    if parameter.min is not None:
        bad.append(str(math.floor(parameter.min) - 1))
    if parameter.max is not None:
        bad.append(str(math.ceil(parameter.max) + 1))
    for value in bad:
        text = _complaint(name, parameter, value)
        shown = parameter.metavar if parameter.param_type_name == "argument" else parameter.opts[0]
        assert text.startswith(f"{shown} "), text
        assert re.search(r": must be a (whole|finite)? ?number", text), text
        assert f"; see genreflow {name} --help" in text
        assert text.isprintable()


def test_there_are_numbers_to_test() -> None:
    assert len(NUMBERS) > 20


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("predict a.wav --top 0", "--top 0: must be a whole number at least 1; see genreflow pred"),
        ("models prune --keep 0", "--keep 0: must be a whole number at least 1; see genreflow mod"),
        ("web --port 70000", "--port 70000: must be a whole number from 0 to 65535; see genreflo"),
        ("label --min-probability 2 -m m -d d", "--min-probability 2: must be a number from 0 to "),
        ("kubeflow compile -c x --target y", '--target y: must be one of "kubeflow", "vertex"; se'),
        (
            "predict --timeout nan a.wav",
            "--timeout nan: must be a finite number; see genreflow pre",
        ),
        ("run --config", "--config needs a value: --config NAME|FILE; see genreflow run --help"),
        ("models list --json=3", "--json takes no value; see genreflow models list --help"),
        ("models show canary", "VERSION canary: must be a whole number at least 0; see genreflow"),
        (
            "models label canary 17 -w w",
            "VERSION and LABEL look swapped; write genreflow models label 17 canary\n",
        ),
        (
            "predict a.wav --server h:1 --api-key-file=",
            "--api-key-file is empty; write --api-key-f",
        ),
        ("serve -m m --tls-cert=", "--tls-cert is empty; write --tls-cert FILE, or leave it out; "),
        ("serve -m m --host=", "--host is empty; write --host HOST, or leave it out; see genrefl"),
        ("web -m m --allow-host=", "--allow-host is empty; write --allow-host HOST, or leave it"),
        ("run --config=", "--config is empty; write --config NAME|FILE; see genreflow run --help"),
        ("kubeflow watch x --interval 0", "--interval 0: must be a number from 0.2 to 3600; see g"),
        ("models label a b", "VERSION a: must be a whole number at least 0; see genreflow models"),
        (
            "models list --model-dir m",
            "there is no option '--model-dir'; name the versions by --work-dir (a run's folder) or "
            "--destination",
        ),
        ("models --model-dir m list", "there is no option '--model-dir'; name the versions by "),
        ("run --model-dir m", "there is no option '--model-dir'; did you mean --"),
    ],
)
@pytest.mark.parametrize("json", [False, True])
def test_a_wrong_value_is_answered_in_one_line(line: str, message: str, json: bool) -> None:
    words = line.split()
    if json and words[0] in ("predict", "label"):
        words.insert(1, "--json")
    result = CliRunner().invoke(app, words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"genreflow: {message}")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["check-data -c folder --rejects", "compare a b --csv"])
@pytest.mark.parametrize("json", [False, True])
def test_a_file_that_cannot_be_made_is_refused_before_the_work(
    command: str, json: bool, tmp_path: pathlib.Path
) -> None:
    missing = tmp_path / "no" / "x.csv"
    cases = [(tmp_path, f"{tmp_path}: this is a folder; name a file, such as ")]
    if "compare" not in command:  # it makes the folder
        cases.append((missing, f"{missing}: there is no folder {missing.parent}; create it first"))
    for place, message in cases:
        words = [*command.split(), str(place), *(["--json"] if json else [])]
        result = CliRunner().invoke(app, words)
        assert (result.exit_code, result.stdout) == (2, "")
        assert f"{command.split()[-1]} {message}" in result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["gtzan", ""], "the folder to put gtzan into is empty; name one"),
        (["gtzan", "{file}"], "{file}: this is a file; name a folder to put gtzan into"),
        (["gtzan", "{new}", "--mirror", "x"], "--mirror x: must be a URL that begins with http"),
    ],
)
def test_a_download_without_a_place_or_source_does_not_begin(
    words: list[str], message: str, tmp_path: pathlib.Path
) -> None:
    file, new = tmp_path / "file", tmp_path / "new"
    file.touch()
    typed = [word.format(file=file, new=new) for word in words]
    result = CliRunner().invoke(app, ["download", *typed])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"genreflow: {message.format(file=file)}")
    assert not new.exists()


def test_an_empty_argument_for_a_file_is_named() -> None:
    result = CliRunner().invoke(app, ["kubeflow", "submit", ""])
    assert result.stderr.startswith("genreflow: FILE is empty; name one; see genreflow kubeflow")


def test_every_line_of_an_error_says_whose_it_is() -> None:
    result = CliRunner().invoke(
        app, ["check-data", "-c", "demo", "--set", "training.epochs=0", "--set", "models.x=[a]"]
    )
    lines = result.stderr.splitlines()
    assert len(lines) > 1
    assert all(line.startswith("genreflow: ") for line in lines)
