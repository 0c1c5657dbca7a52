"""Tests of `genreflow doctor`: what it prints, its exit status, and its JSON."""

from __future__ import annotations

import contextlib
import http.server
import json
import pathlib
import socket
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from genreflow.cli import devices as cli_devices
from genreflow.cli import doctor as cli_doctor
from genreflow.cli.app import app
from pipeline.prepare.doctor import formats, machine, packages, store
from pipeline.prepare.finding import OK, PROBLEM, WARNING, Finding
from pipeline.process import cuda

NASTY = "[b]\x1b[31m\u202e"


def _doctor(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["doctor", *arguments], env={"COLUMNS": "200"})


def _answer(monkeypatch: pytest.MonkeyPatch, facts: dict[str, Any]) -> None:
    """Replace the process that starts TensorFlow."""
    program = f"print({json.dumps(facts)!r})"
    monkeypatch.setattr(cli_devices, "PROBE", (sys.executable, "-c", program))


def _load(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    """Replace the process that loads TensorFlow."""
    monkeypatch.setattr(cli_devices, "LOAD", (sys.executable, "-c", program))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the checks that have tests of their own by one finding each."""
    monkeypatch.setattr(packages, "check_python", lambda: Finding("python", OK, "3"))
    monkeypatch.setattr(packages, "check_packages", lambda: [Finding("packages", OK, "all")])
    monkeypatch.setattr(formats, "check_formats", lambda: [Finding("audio", OK, "mp3")])
    monkeypatch.setattr(cuda, "cards", list)
    for name in store.ENDPOINT_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    _answer(monkeypatch, {"tensorflow": {"gpus": [], "precision": "float32"}})
    _load(monkeypatch, "")


def test_a_good_machine_ends_with_0(tmp_path: pathlib.Path) -> None:
    result = _doctor("--work-dir", str(tmp_path / "w"))
    assert result.exit_code == 0, result.output
    names = [line.split()[0] for line in result.stdout.splitlines()]
    assert names == [
        "python", "packages", "memory", "disk", "scratch", "ports", "audio", "store", "devices",
        "nothing",
    ]  # fmt: skip
    assert "devices    ok: training uses the CPU, " in result.stdout
    assert not (tmp_path / "w").exists()


def test_a_problem_ends_with_1_and_a_warning_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    warning = Finding("ports", WARNING, NASTY, f"mend {NASTY}")
    monkeypatch.setattr(machine, "check_ports", lambda **_: warning)
    result = _doctor()
    assert result.exit_code == 0
    assert "ports      warning: [b]\\x1b[31m\\x202e\n           mend [b]\\x1b[31m" in result.stdout
    monkeypatch.setattr(
        packages, "check_packages", lambda: [Finding("packages", PROBLEM, "gone", "pip install x")]
    )
    result = _doctor()
    assert result.exit_code == 1
    assert "packages   problem: gone\n           pip install x\n" in result.stdout
    assert result.stdout.endswith("1 of the checks found a problem\n")


def test_json_holds_the_same_findings(monkeypatch: pytest.MonkeyPatch) -> None:
    _load(monkeypatch, "raise SystemExit('no AVX')")
    result = _doctor("--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert {tuple(one) for one in found} == {("name", "outcome", "text", "command")}
    assert found[-1] == {
        "name": "devices",
        "outcome": "problem",
        "text": "TensorFlow cannot be started: no AVX",
        "command": "genreflow devices",
    }


def test_gpus_that_tensorflow_does_not_see_are_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    card = cuda.GpuInfo("H200", "1", "9.0", "1")
    monkeypatch.setattr(cuda, "cards", lambda: [card])
    assert "devices    warning: training uses the CPU" in _doctor().stdout
    gpus = [{"name": "H200", "capability": [9, 0]}]
    _answer(monkeypatch, {"tensorflow": {"gpus": gpus, "precision": "mixed_bfloat16"}})
    assert "devices    ok: training uses H200, mixed_bfloat16\n" in _doctor().stdout


def test_a_configuration_is_checked_with_its_places_and_files(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(store, "check_stores", lambda places: asked.append(places) or [])
    weights = tmp_path / "none.weights.h5"
    result = _doctor(
        *("-c", "gtzan", "-d", "s3://bucket/music"),
        *("--set", "storage.push_destination=s3://bucket/models"),
        *("--set", f'models.vgg16.weights="{weights}"', "--set", "models.vgg16.fine_tune_epochs=0"),
    )
    assert result.exit_code == 1
    assert asked == [["s3://bucket/music", "", "s3://bucket/models", ""]]
    assert f"models.vgg16.weights = '{weights}': no such file" in result.stdout


def test_a_wrong_configuration_is_no_finding_but_a_wrong_command_line() -> None:
    result = _doctor("-c", "dmeo")
    assert (result.exit_code, result.stdout) == (2, "")


def test_a_processor_that_tensorflow_cannot_run_on_is_a_problem(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _load(monkeypatch, "import os, signal; os.kill(os.getpid(), signal.SIGILL)")
    assert "devices    problem: TensorFlow cannot be started: killed by SIGILL" in _doctor().stdout


def test_tensorflow_can_be_loaded_here_without_its_import(monkeypatch: pytest.MonkeyPatch) -> None:
    program = (
        "import sys; from pipeline.process import tensorflow_load as load; load.main(); "
        "sys.exit('imported' if 'tensorflow' in sys.modules else 0)"
    )
    _load(monkeypatch, program)
    assert cli_devices.load_trouble() == ""
    _load(monkeypatch, program.replace("load.main()", "load._LIBRARIES = ['no.so']; load.main()"))
    assert "no.so: cannot open shared object file" in cli_devices.load_trouble()


@contextlib.contextmanager
def _rest(status: int, answer: Any) -> Iterator[int]:
    """Serve one answer to every request, as a model server's REST does, and yield the port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = json.dumps(answer).encode()
            self.send_response(status if self.path == "/v1/models/genreflow" else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_arguments: Any) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def _states(*states: tuple[str, str]) -> dict[str, Any]:
    return {
        "model_version_status": [
            {"version": version, "state": state, "status": {"error_code": "OK"}}
            for version, state in states
        ]
    }


@pytest.mark.parametrize(
    ("status", "answer", "said"),
    [
        (
            200,
            _states(("17", "AVAILABLE"), ("18", "LOADING")),
            "a model server serves genreflow there, version 17",
        ),
        (200, _states(("18", "LOADING")), "a model server serves genreflow there, no version yet"),
        (404, {"error": "Could not find any versions of model genreflow"}, ""),
        (401, {"error": "no key"}, ""),
        (200, ["another program"], ""),
    ],
)
def test_a_model_server_is_asked_for_its_version(
    status: int, answer: Any, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _rest(status, answer) as port:
        monkeypatch.setattr(cli_doctor, "_REST_PORT", port)
        assert cli_doctor._model_server(port) == said


def test_who_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_doctor, "_ANSWER_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begun = time.monotonic()
        assert cli_doctor._model_server(silent.getsockname()[1]) == ""
        assert time.monotonic() - begun < 5
