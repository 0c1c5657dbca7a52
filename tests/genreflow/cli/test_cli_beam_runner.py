"""Tests of `genreflow run` with a runner that cannot be used: one line each, before any work."""

from __future__ import annotations

import pathlib
import socket

import pytest
from typer.testing import CliRunner

from genreflow.cli.app import app
from pipeline.prepare import runner_checks

CONFIG = """
[dataset]
kind = "folder"
[split]
policy = "by_track"
[training]
batch_size = 4
[models.cnn_small]
[beam]
runner = "{runner}"
{keys}
"""


def _type(folder: pathlib.Path, runner: str, keys: str) -> list[str]:
    """Run the command and return the lines that it printed; it has to fail and leave nothing."""
    config, data, work = folder / "c.toml", folder / "data", folder / "w"
    config.write_text(CONFIG.format(runner=runner, keys=keys))
    for genre in ("Folk", "Rock"):
        (data / genre).mkdir(parents=True)
        for number in range(12):
            (data / genre / f"{number}.wav").write_bytes(b"x")
    command = ["run", "-c", config, "-d", data, "-w", work]
    done = CliRunner().invoke(app, [str(part) for part in command])
    assert done.exit_code == 2
    assert not work.exists()
    return done.output.splitlines()


@pytest.mark.parametrize(
    ("runner", "keys", "message"),
    [
        ("portable", "", '[beam] runner = "portable" needs beam.portable.endpoint, the address'),
        ("dataflow", "", '[beam] runner = "dataflow" needs beam.dataflow.project, the id of'),
        ("direct", "[beam.flink]\nmastr = 'x'", "unknown key; did you mean beam.flink.master?"),
        ("direct", "options = ['--experimets=x']", "--experimets is no flag of Beam's; did you"),
    ],
)
def test_a_wrong_setting_is_one_line(
    runner: str, keys: str, message: str, tmp_path: pathlib.Path
) -> None:
    (line,) = _type(tmp_path, runner, keys)
    assert message in line


def test_an_endpoint_where_nothing_listens_is_one_line(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_checks, "CONNECT_SECONDS", 0.3)
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        (line,) = _type(tmp_path, "portable", f"[beam.portable]\nendpoint = 'localhost:{port}'")
    assert f'beam.portable.endpoint = "localhost:{port}": nothing listens there' in line


def test_folders_that_workers_do_not_see_are_a_line_each(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_checks, "check_runner", lambda settings: None)
    keys = "[beam.flink]\nendpoint = 'flink:8099'\nenvironment = 'docker'\nimage = 'registry/g:1'"
    artifacts, audio = _type(tmp_path, "flink", keys)
    assert f"{tmp_path / 'w' / 'pipeline'}: " in artifacts
    assert "set storage.pipeline_root to s3://BUCKET/FOLDER" in artifacts
    assert audio.startswith(f"genreflow: {tmp_path / 'data' / 'Folk' / '0.wav'}: ")
