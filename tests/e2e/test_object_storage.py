"""A run with data folder, pipeline root and push destination in an object store."""

from __future__ import annotations

import itertools
import json
import os
import pathlib
import subprocess
from typing import Any

import pytest

from tests.support import s3_server
from tests.support.commands import GENREFLOW, QUICK

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

ALWAYS_RUN = {"ServingModel", "ServingCheck", "Pusher"}


class CommandLine:
    """Runner of commands with the store's environment; `printed` has all their output."""

    def __init__(self, proxy: s3_server.Proxy) -> None:
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
            **s3_server.environment(proxy.endpoint),
            "COLUMNS": "100",
        }
        self.printed = ""

    def __call__(self, *arguments: object) -> tuple[int, str]:
        done = subprocess.run(
            [GENREFLOW, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self._environment,
            timeout=600,
            check=False,
        )
        self.printed += done.stdout
        assert "Traceback" not in done.stdout
        return done.returncode, done.stdout


def _results(work: pathlib.Path) -> dict[str, Any]:
    return json.loads((work / "results.json").read_text())


def _cached(results: dict[str, Any]) -> set[str]:
    return {name for name, node in results["nodes"].items() if node["outcome"] == "cached"}


@pytest.mark.timeout(1800)
def test_everything_in_a_store_ends_as_on_a_disk(
    corpus: pathlib.Path,
    s3: Any,
    bucket: str,
    s3_proxy: s3_server.Proxy,
    tmp_path: pathlib.Path,
) -> None:
    for path in sorted(corpus.rglob("*")):
        if path.is_file():
            s3.upload_file(str(path), bucket, f"data/{path.relative_to(corpus).as_posix()}")
    config = tmp_path / "quick.toml"
    config.write_text(QUICK + "[models.ffnn]\n")  # two networks, so that there is an ensemble
    work = tmp_path / "w"
    run = (
        "run", "-c", config, "-d", f"s3://{bucket}/data", "-w", work,
        "--set", f'storage.pipeline_root="s3://{bucket}/runs"',
        "--set", f'storage.push_destination="s3://{bucket}/serving"',
    )  # fmt: skip
    genreflow = CommandLine(s3_proxy)

    # The output of a component may not be written: the run fails there with a plain error.
    s3_proxy.fail(10_000, s3_server.DENIED, method="PUT", path="StatisticsGen")
    status, output = genreflow(*run)
    assert status == 1, output
    assert f"StatisticsGen: s3://{bucket}/runs/StatisticsGen/statistics/" in output
    assert "access denied (AccessDenied) to this access key" in output

    # A rerun resumes there and succeeds while the store throttles.
    turn = itertools.count(1)
    s3_proxy.fault = lambda method, path: None if next(turn) % 20 else s3_server.SLOW_DOWN
    s3_proxy.log.clear()
    status, output = genreflow(*run)
    assert status == 0, output
    assert s3_proxy.faults() > 10
    s3_proxy.fault = lambda method, path: None
    first = _results(work)
    assert {"SpectrogramGen", "ImportSchemaGen"} <= _cached(first)
    assert first["gate"]["blessed"]
    version = first["pushed_version"]
    assert f"s3://{bucket}/serving/genreflow/{version}" in output.replace("\n", "")
    serving = f"/{bucket}/serving/genreflow/{version}/"
    pushed = [e.path for e in s3_proxy.requests("PUT", serving) if e.status == 200]
    assert len(pushed) >= 5
    assert [path for path in pushed if path.endswith("saved_model.pb")] == pushed[-1:]
    # On disk are only metadata, logs, caches and the results for people.
    assert {path.name for path in work.iterdir()} >= {"metadata.sqlite", "results.json", "logs"}
    tables = [p for p in work.rglob("*") if p.suffix in (".tfrecord", ".parquet", ".pb")]
    assert tables == [work / "predictions.parquet"]
    assert version in (work / "report" / "index.html").read_text()
    assert not list((work / "serving_models").rglob("*"))
    assert (work / "curves" / "cnn_small.png").read_bytes().startswith(b"\x89PNG")
    assert list((work / "curves" / "cnn_small" / "train").iterdir())

    # A run on local folders reads and rejects the same tracks.
    local = tmp_path / "local"
    status, output = genreflow("run", "-c", config, "-d", corpus, "-w", local)
    assert status == 0, output
    assert _results(local)["counts"] == first["counts"]
    assert first["counts"]["tracks_decoded"] == 16
    assert (local / "rejects.csv").read_text() == (work / "rejects.csv").read_text()

    # After one object changed, only that one is fetched and decoded again.
    song = min((corpus / "fma_small").rglob("*.mp3"))
    key = f"data/{song.relative_to(corpus).as_posix()}"
    tag = b"TAG" + b"another name".ljust(125, b"\0")
    s3.put_object(Bucket=bucket, Key=key, Body=song.read_bytes() + tag)
    s3_proxy.log.clear()
    status, output = genreflow(*run)
    assert status == 0, output
    second = _results(work)
    assert second["counts"] == {**first["counts"], "tracks_decoded": 1}
    fetched = [exchange.path for exchange in s3_proxy.requests("GET", ".mp3")]
    assert fetched == [f"/{bucket}/{key}"]
    # The same audio with another tag gives the same model, which is already serving.
    assert second["pushed_version"] is None
    assert "already_serving" in output

    # An unchanged rerun reads and does nothing.
    s3_proxy.log.clear()
    status, output = genreflow(*run, "--require-blessing")
    assert status == 3, output
    third = _results(work)
    assert set(third["nodes"]) - _cached(third) == ALWAYS_RUN
    assert s3_proxy.requests("GET", ".mp3") == []

    models = f"s3://{bucket}/serving/genreflow"
    status, output = genreflow(
        "predict", f"s3://{bucket}/{key}", song, "--model-dir", models, "--json"
    )
    assert status == 0, output
    remote, here = json.loads(output[output.index("[") :])
    assert remote["probabilities"] == here["probabilities"]

    # Another work folder would overwrite this one's artifacts.
    status, output = genreflow(*run, "-w", tmp_path / "w2")
    assert status == 2
    assert "belongs to another work folder" in output

    everything = {"printed output": genreflow.printed.encode()}
    for path in (*work.rglob("*"), *local.rglob("*")):
        if path.is_file():
            everything[str(path)] = path.read_bytes()
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for item in page["Contents"]:
            body = s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read()
            everything[item["Key"]] = body
    assert len(everything) > 100
    for secret in (s3_server.SECRET, s3_server.TOKEN, s3_server.KEY_ID):
        holders = [name for name, content in everything.items() if secret.encode() in content]
        assert holders == []
