"""Tests of the command line's messages on failing object stores."""

from __future__ import annotations

import io
import json
import pathlib
import socket
from typing import Any

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from genreflow.cli.app import app
from pipeline.prepare.doctor import store
from pipeline.prepare.finding import OK, PROBLEM
from tests.support import s3_server


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "botocore.retries.standard.ExponentialBackoff.delay_amount", lambda self, context: 0.01
    )


def _check(data_dir: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["check-data", "--config", "folder", "--data-dir", data_dir])
    output = result.output
    for secret in (s3_server.SECRET, s3_server.TOKEN, "pa55word", "Traceback"):
        assert secret not in output
    return result.exit_code, output


@pytest.mark.parametrize(
    ("fault", "status", "said"),
    [
        (s3_server.WRONG_KEY, 2, "AWS_ACCESS_KEY_ID"),
        (s3_server.WRONG_SECRET, 2, "AWS_SECRET_ACCESS_KEY"),
        (s3_server.DENIED, 2, "access denied"),
        (s3_server.SLOW_DOWN, 1, "503 SlowDown after 6 attempts"),
        ("reset", 1, "the object store cannot be reached"),
    ],
)
def test_faults_end_in_one_line_and_a_status(
    s3: Any,
    bucket: str,
    s3_proxy: s3_server.Proxy,
    fault: s3_server.Fault,
    status: int,
    said: str,
) -> None:
    s3_proxy.fail(1000, fault)
    code, output = _check(f"s3://{bucket}/data")
    assert said in output
    assert code == status
    assert len(output.strip().splitlines()) == 1


def test_usage_ends_with_status_2(s3: Any, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for data_dir, said in {
        "s3://no-bucket-of-this-name/data": "no such bucket",
        f"s3://{bucket}/data": "the data folder is empty",
        "s3://id:pa55word@bucket/data": "it contains '@'",
        "gs://id:pa55word@bucket/data": "only local folders and s3:// URIs",
    }.items():
        code, output = _check(data_dir)
        assert said in output
        assert code == 2
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://id:pa55word@host")
    code, output = _check(f"s3://{bucket}/data")
    assert (code, "AWS_ENDPOINT_URL_S3 must be" in output) == (2, True)


def test_a_server_that_is_not_there_ends_with_status_1_and_its_host(
    s3: Any, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{port}")
    code, output = _check(f"s3://{bucket}/data")
    assert code == 1
    assert f"127.0.0.1:{port}: the object store cannot be reached" in output


def test_a_model_is_looked_for_in_the_store(s3: Any, bucket: str, tmp_path: pathlib.Path) -> None:
    for key, said in {"nothing": "there is nothing there", "half": "incomplete model"}.items():
        s3.put_object(Bucket=bucket, Key="half/variables/variables.index", Body=b"x")
        uri = f"s3://{bucket}/{key}"
        result = CliRunner().invoke(app, ["predict", __file__, "--model-dir", uri])
        assert result.exit_code == 2
        assert f"{uri}: " in result.output
        assert said in result.output


@pytest.fixture
def music(s3: Any, bucket: str) -> str:
    """Return the URI of a folder of two genres of three songs."""
    for genre in ("Folk", "Rock"):
        for number in range(3):
            stream = io.BytesIO()
            noise = np.random.default_rng(number).normal(0, 0.1, 60_000)
            soundfile.write(stream, noise, 22050, format="WAV")
            s3.put_object(Bucket=bucket, Key=f"m/{genre}/{number}.wav", Body=stream.getvalue())
    return f"s3://{bucket}/m"


def test_init_writes_a_configuration_for_a_folder_in_the_store(
    music: str, tmp_path: pathlib.Path
) -> None:
    config = str(tmp_path / "s3.toml")
    result = CliRunner().invoke(app, ["init", music, "--output", config, "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["data_dir"], found["genres"]) == (music, {"Folk": 3, "Rock": 3})
    assert found["cost"]["seconds_per_track"] > 0
    checked = CliRunner().invoke(app, ["check-data", "--config", config])
    assert checked.exit_code == 0, checked.output


def test_a_run_tries_some_songs_of_the_store_first(
    s3: Any, bucket: str, music: str, tmp_path: pathlib.Path
) -> None:
    command = ["run", "-c", "folder", "-d", music, "-w", str(tmp_path / "w")]
    # One song can be used, so the next check is reached: of the weights.
    for genre, number in [("Folk", 0), ("Folk", 1), ("Folk", 2), ("Rock", 0), ("Rock", 1)]:
        s3.put_object(Bucket=bucket, Key=f"m/{genre}/{number}.wav", Body=b"<html>")
    missing = ["--set", "models.vgg16.weights=./no.weights.h5", "--set", "training.batch_size=2"]
    result = CliRunner().invoke(app, [*command, *missing])
    assert "models.vgg16.weights" in result.output
    s3.put_object(Bucket=bucket, Key="m/Rock/2.wav", Body=b"<html>")
    result = CliRunner().invoke(app, [*command, *missing])
    assert result.exit_code == 2, result.output
    assert "none of 6 files that were tried is music that can be used" in result.output
    assert not (tmp_path / "w").exists()


def test_doctor_lists_the_places_in_the_store(music: str, bucket: str) -> None:
    places = [music, f"s3://{bucket}/models", "s3://no-bucket-of-this-name/x"]
    endpoint, *found = store.check_stores(places)
    assert (endpoint.outcome, endpoint.text.endswith(" answers")) == (OK, True)
    assert [(one.outcome, one.text) for one in found[:2]] == [
        (OK, f"{music} can be listed"),
        (OK, f"s3://{bucket}/models can be listed; it is empty"),
    ]
    assert (found[2].outcome, "no such bucket" in found[2].text) == (PROBLEM, True)
