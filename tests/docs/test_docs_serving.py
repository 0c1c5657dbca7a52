"""Tests that run the commands in docs/operations/serving.md."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
import soundfile
import typer

from genreflow.cli import app as cli
from serving.protocol.names import METRICS_PATH
from tests.support import ROOT
from tests.support.serving_server import RunningServer, start_server
from tests.support.serving_toys import CLIP, GENRES, PARAMS, clips

PAGE = ROOT / "docs" / "operations" / "serving.md"
TEXT = PAGE.read_text(encoding="utf-8")


def commands(kind: str) -> list[str]:
    """Return the commands in the blocks ```sh KIND."""
    blocks = re.findall(rf"^```sh {kind}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    joined = "\n\n".join(blocks)
    parts = re.split(r"\n(?=(?:curl|grpcurl|python|printf|echo)\b)|\n\n", joined)
    return [part.strip() for part in parts if part.strip()]


@pytest.fixture(scope="module")
def server(toy_models: pathlib.Path) -> Iterator[RunningServer]:
    running = start_server(toy_models)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def run(
    server: RunningServer, toy_models: pathlib.Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], str]:
    """Return a function that runs a command with real ports and folders, and returns its output."""
    folder = tmp_path_factory.mktemp("typed")
    soundfile.write(folder / "song.wav", clips(1)[0], PARAMS.sample_rate_hz, subtype="PCM_16")
    programs = [pathlib.Path(sys.executable).parent, ROOT / ".tools" / "bin"]
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([*map(str, programs), os.environ["PATH"]]),
        "PYTHONPATH": str(ROOT),
    }

    def typed(command: str) -> str:
        for written, real in (
            ("127.0.0.1:8500", f"127.0.0.1:{server.port}"),
            ("127.0.0.1:8501", f"127.0.0.1:{server.rest_port}"),
            ('"/models/genreflow"', f'"{toy_models}"'),
        ):
            command = command.replace(written, real)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    return typed


def test_there_are_commands_of_both_kinds() -> None:
    assert len(commands("curl")) == 5
    assert len(commands("grpcurl")) == 5


def test_the_curl_lines_work(
    run: Callable[[str], str], requires_program: Callable[[str, str], str]
) -> None:
    requires_program("curl", "curl")
    status, metadata, described, predicted, metrics = [run(line) for line in commands("curl")]
    assert '"AVAILABLE"' in status
    assert "serving_wav" in metadata
    assert f'"clip_samples":{CLIP}' in described
    assert all(genre in predicted for genre in GENRES)
    assert '"probabilities"' in predicted
    assert ":tensorflow:serving:request_count" in metrics
    assert any(METRICS_PATH in line for line in commands("curl"))


def test_the_grpcurl_lines_work(
    run: Callable[[str], str],
    requires_program: Callable[[str, str], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tools = ROOT / ".tools" / "bin"
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    requires_program("grpcurl", "github.com/fullstorydev/grpcurl")
    wrote, described, predicted, status, reloaded = [run(line) for line in commands("grpcurl")]
    assert "wrote genreflow.protoset" in wrote
    assert f'"{CLIP}"' in described
    assert '"probabilities"' in predicted
    assert '"AVAILABLE"' in status
    assert reloaded.split() == ["{", '"status":', "{}", "}"] or "OK" in reloaded, reloaded


def test_the_python_lines_work(server: RunningServer, run: Callable[[str], str]) -> None:
    (block,) = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    program = block.replace("song.mp3", "song.wav")
    printed = run(f"python -c '{program}'")
    assert all(genre in printed for genre in GENRES)


def test_options_and_files_that_it_names_exist() -> None:
    commands = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]
    ours = {
        name.removeprefix("--")
        for command in (commands["serve"], commands["predict"])
        for option in command.params
        for name in (*option.opts, *option.secondary_opts)
    }
    theirs = {"wait", "descriptor_set_in", "help", "data-binary"}
    named = set(re.findall(r"(?<![\w-])--([a-z][a-z_-]+)", TEXT))
    assert {"allow-reload", "timeline"} < named
    assert named - theirs == named & ours
    for link in re.findall(r"\]\(([^)#:]+)\)", TEXT):
        assert (PAGE.parent / link).exists(), link
    for path in set(re.findall(r"(?<=[ `])serving/[\w./-]+\w", TEXT)):
        assert (ROOT / path).exists(), path
