"""Tests of `genreflow serve`."""

from __future__ import annotations

import dataclasses
import pathlib
import re
import shutil
import signal
from typing import Any

import pytest
import typer.main

from components.common.errors import UsageError
from genreflow.cli import app as cli
from genreflow.cli import serve as cli_serve
from serving.server.config.options import ServeOptions
from tests.support import commands


def test_the_command_has_exactly_the_servers_options_with_their_defaults() -> None:
    command: Any = typer.main.get_command(cli.app)
    options = {p.name: p.default for p in command.commands["serve"].params if p.name != "help"}
    assert options == {field.name: field.default for field in dataclasses.fields(ServeOptions)}


def test_it_serves_until_ctrl_c_and_ends_with_0(toy_models: pathlib.Path) -> None:
    process = commands.start("serve", "--model-dir", toy_models, "--port", 0, "--rest-port", 0)
    assert process.stdout
    lines = []
    try:
        for line in process.stdout:
            lines.append(line)
            if line.startswith("stop it:"):
                process.send_signal(signal.SIGINT)
        status = process.wait(60)
    finally:
        process.kill()
    said = "".join(lines)
    assert status == 0, said
    assert lines[0] == f"loading genreflow version 2 from {toy_models}\n"
    assert "Genreflow's own server, which speaks TensorFlow Serving's protocol" in said
    assert re.search(r"genreflow predict song\.mp3 --server 127\.0\.0\.1:\d+\n", said)
    assert re.search(r"curl http://127\.0\.0\.1:\d+/v1/models/genreflow\n", said)
    assert said.endswith("stopped; 0 requests answered\n")
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"model_dir": "/none/such"}, "/none/such: no such folder"),
        ({"model_dir": "s3://bucket/models"}, "aws s3 sync s3://bucket/models"),
        ({"model_dir": ""}, "--model-dir"),
        ({"model_dir": "m", "policy": "x"}, "--policy x"),
    ],
)
def test_mistakes_are_told(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        cli_serve.run(options)
    assert words in str(caught.value)


def test_a_mistake_ends_with_2_and_one_line(tmp_path: pathlib.Path) -> None:
    process = commands.start("serve", "--model-dir", tmp_path)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert output.splitlines() == [
        f"genreflow: {tmp_path}: contains no model: neither saved_model.pb nor a version folder "
        "such as 1/"
    ]


def test_names_from_outside_do_not_act_on_the_terminal(
    toy_models: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    folder = tmp_path / "mod\x1b[31mel"
    shutil.copytree(toy_models / "1", folder / "1")
    (folder / "1" / "variables" / "variables.index").unlink()
    process = commands.start("serve", "--model-dir", folder)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "\x1b" not in output
    assert "mod\\x1b[31mel" in output
