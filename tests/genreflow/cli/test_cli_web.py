"""Tests of `genreflow web`: its options, its first second, its log, its end."""

from __future__ import annotations

import dataclasses
import pathlib
import signal
import socket
import time
import urllib.parse
from typing import Any

import httpx
import pytest
import typer.main

from genreflow.cli import app as cli
from genreflow.cli.predict.model import ConnectionOptions
from tests.genreflow.web.listen.listening import HOSTILE, SONGS, wav
from tests.support import commands
from tests.support.scripted_serving import Scripted


def test_the_servers_options_are_those_of_predict() -> None:
    command: Any = typer.main.get_command(cli.app)
    web, predict = (
        {one.name: (one.opts, one.help, one.default) for one in command.commands[name].params}
        for name in ("web", "predict")
    )
    for field in dataclasses.fields(ConnectionOptions):
        name = {"timeout_s": "timeout"}.get(field.name, field.name)
        assert web[name] == predict[name]
    assert web["host"][2] == "127.0.0.1"


def test_it_answers_at_once_logs_escaped_names_and_ends_quietly(scripted: Scripted) -> None:
    process = commands.start(
        *("web", "--server", f"127.0.0.1:{scripted.port}", "--port", 0, "--no-open")
    )
    assert process.stdout
    try:
        first = process.stdout.readline()
        url = first.split()[-1]
        assert first == f"Genreflow's page: {url}\n"
        assert "drop a song" in process.stdout.readline()
        # The socket listens already; the browser waits for the rest.
        assert httpx.get(f"{url}listen", timeout=60).status_code == 200
        headers = {"genreflow-file-name": urllib.parse.quote(HOSTILE)}
        sent = httpx.post(url + SONGS[1:], headers=headers, content=wav(), timeout=60)
        assert sent.status_code == 200
        refused = httpx.post(url + SONGS[1:], headers=headers, content=b"no audio")
        assert refused.status_code == 422
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, rest
    lines = rest.splitlines()
    shown = "=1+1<img src=x onerror=alert(1)>\\x1b[31m\\x202egnp.mp3"
    assert lines[0].startswith(f"{shown}: ")
    assert lines[1].startswith(f"{shown}: 422: ")
    assert lines[2:] == ["stopped"]


def test_a_server_of_its_own_loads_in_the_background(toy_models: pathlib.Path) -> None:
    begun = time.monotonic()
    process = commands.start("web", "--model-dir", toy_models, "--port", 0)
    assert process.stdout
    try:
        url = process.stdout.readline().split()[-1]
        status = httpx.get(f"{url}listen/api/model", timeout=60).json()
        assert status["state"] == "starting"
        while status["state"] == "starting" and time.monotonic() < begun + 120:
            refused = httpx.post(
                url + SONGS[1:], headers={"genreflow-file-name": "a"}, content=wav(), timeout=60
            )
            assert refused.status_code == 200 or int(refused.headers["retry-after"]) > 0
            time.sleep(0.3)
            status = httpx.get(f"{url}listen/api/model", timeout=60).json()
        assert (status["state"], status["versions"]) == ("ready", [1, 2])
        sent = httpx.post(
            url + SONGS[1:],
            params={"version": ["1", "2"]},
            headers={"genreflow-file-name": "a"},
            content=wav(),
            timeout=60,
        ).json()
        first, second = (one["probabilities"] for one in sent["answers"])
        assert first != second
        assert [one["model"]["version"] for one in sent["answers"]] == [1, 2]
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0
    assert rest.splitlines()[-1] == "stopped"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "one of the two; neither is given"),
        (["--server", "h:1", "--model-dir", "m"], "one of the two; both are given"),
        (["--model-dir", "/none/such"], "/none/such: no such folder"),
        (["--model-dir", "s3://bucket/models"], "aws s3 sync s3://bucket/models"),
        (["--model-dir", "m", "--rest"], "--rest needs --server HOST:PORT, in place of"),
        (["--server", "ftp://host"], "ftp:// is not supported"),
        (["--server", "h:1", "--ca-cert", "x.pem"], "add --tls"),
        (["--server", "h:1", "--tls", "--ca-cert", "/none"], "/none: No such file"),
        (["--server", "h:1", "--api-key-file", "/none"], "--api-key-file /none"),
        (["--server", "h:1", "--host", "no.such.host.invalid"], "--host no.such.host.invalid"),
    ],
)
def test_mistakes_are_told_before_anything_starts(
    options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command: Any = typer.main.get_command(cli.app)
    with pytest.raises(SystemExit) as ended:
        command.main(["web", *options])
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert words in said.err
    assert said.out == ""


def test_a_port_in_use_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    command: Any = typer.main.get_command(cli.app)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SystemExit):
            command.main(["web", "--server", "127.0.0.1:1", "--port", str(port)])
    assert f"--port {port}: cannot listen on 127.0.0.1:{port}" in capsys.readouterr().err
