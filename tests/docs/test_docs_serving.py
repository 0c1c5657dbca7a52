"""Tests that run the commands and programs of the pages about serving and its API."""

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

PAGES = (ROOT / "docs/reference/api.md", ROOT / "docs/operations/serving.md")
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
API = PAGES[0].read_text(encoding="utf-8")


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
    go = ROOT / ".tools" / "go"
    environment = {
        "CGO_ENABLED": "0",
        "GOCACHE": str(go / "cache" if go.is_dir() else folder / "go-cache"),
        "GOMODCACHE": str(go / "modules"),
        "GOFLAGS": "-mod=mod",
        "GOPROXY": "off",
        "NODE_PATH": str(ROOT / ".tools" / "node" / "node_modules"),
        **os.environ,
        "PATH": os.pathsep.join([*map(str, programs), os.environ["PATH"]]),
        "PYTHONPATH": str(ROOT),
    }

    def here(text: str) -> str:
        for written, real in (
            ("127.0.0.1:8500", f"127.0.0.1:{server.port}"),
            ("127.0.0.1:8501", f"127.0.0.1:{server.rest_port}"),
            ('"/models/genreflow"', f'"{toy_models}"'),
        ):
            text = text.replace(written, real)
        return text

    def typed(command: str, **files: str) -> str:
        for name, text in files.items():
            (folder / name).write_text(here(text), encoding="utf-8")
        command = here(command)
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


@pytest.mark.parametrize(
    ("title", "language", "file", "program"),
    [
        ("JavaScript", "js", "predict.mjs", "node"),
        ("JavaScript over gRPC", "js", "predict-grpc.js", "node"),
        ("Go", "go", "predict.go", "go"),
        ("Go over gRPC", "go", "predict-grpc.go", "go"),
    ],
)
def test_the_program_prints_each_genre_with_its_probability(
    title: str,
    language: str,
    file: str,
    program: str,
    run: Callable[..., str],
    requires_program: Callable[[str, str], str],
    requires_npm_packages: Callable[..., pathlib.Path],
    requires_go_modules: Callable[[], pathlib.Path],
) -> None:
    requires_program(program, {"node": "nodejs", "go": "golang-go"}[program])
    modules = {}
    if title == "JavaScript over gRPC":
        requires_npm_packages("@grpc/grpc-js", "@grpc/proto-loader")
    if title == "Go over gRPC":
        folder = requires_go_modules()
        modules = {name: (folder / name).read_text("utf-8") for name in ("go.mod", "go.sum")}
    section = API.split(f"\n### {title}\n", 1)[1].split("\n#", 1)[0]
    (text,) = re.findall(rf"^```{language}\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    (command,) = re.findall(rf"`((?:node|go run) {re.escape(file)} song\.wav)`", section)
    made = "python -m serving.protocol.protoset genreflow.protoset\n"
    printed = run(made + command, **modules, **{file: text})
    rows = [line.split() for line in printed.splitlines()[1:]]
    assert [genre for genre, _ in rows] == list(GENRES)
    assert sum(float(share) for _, share in rows) == pytest.approx(1, abs=0.01)


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
    for path in set(re.findall(r"(?<=[ `])serving/[\w./-]+\w", TEXT)):
        assert (ROOT / path).exists(), path
