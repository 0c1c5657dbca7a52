"""A rollback, a prune and labels under load: with our server, whose clients see no failure."""

from __future__ import annotations

import json
import pathlib
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from typer.testing import CliRunner

from components.common.model_contract import VERSION_RECORD, WARMUP_FILE
from genreflow.cli.app import app
from serving.protocol.protos import predict_pb2, prediction_service_pb2_grpc
from serving.protocol.tensors import to_array, to_proto
from tests.components.versions import made
from tests.support.serving_server import RunningServer
from tests.support.serving_toys import clips

pytestmark = pytest.mark.memory
CLIENTS = 3
MORE_ANSWERS = 20


def _models(*arguments: object) -> Any:
    result = CliRunner().invoke(app, ["models", *map(str, arguments), "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


class Load:
    """Clients that send requests without pause; each answer's version and first probability."""

    def __init__(self, server: RunningServer, label: str = "") -> None:
        self.answers: list[tuple[int, float]] = []
        self.failures: list[str] = []
        self._done = threading.Event()
        self._label = label
        self._channels = [server.channel() for _ in range(CLIENTS)]
        self._threads = [threading.Thread(target=self._send, args=(c,)) for c in self._channels]
        for thread in self._threads:
            thread.start()

    def _send(self, channel: grpc.Channel) -> None:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        request = predict_pb2.PredictRequest(inputs={"waveform": to_proto(clips(1))})
        request.model_spec.name = "genreflow"
        if self._label:
            request.model_spec.version_label = self._label
        while not self._done.is_set():
            try:
                answer = stub.Predict(request, timeout=60)
            except grpc.RpcError as error:
                self.failures.append(f"{error.code()}: {error.details()}")
                continue
            first = float(to_array(answer.outputs["probabilities"])[0, 0])
            self.answers.append((answer.model_spec.version.value, round(first, 4)))

    def wait_for(self, version: int) -> None:
        """Wait until the version has answered MORE_ANSWERS requests."""
        end = time.monotonic() + 120
        while sum(found == version for found, _ in list(self.answers)) < MORE_ANSWERS:
            assert time.monotonic() < end, f"{set(self.answers)} {self.failures[:3]}"
            time.sleep(0.02)

    def stop(self) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join(60)
        for channel in self._channels:
            channel.close()


@pytest.fixture
def work(tmp_path: pathlib.Path, toy_models: pathlib.Path) -> pathlib.Path:
    """Return a work folder that pushed versions 1 and 2."""
    models = tmp_path / "work" / "serving_models" / "genreflow"
    shutil.copytree(toy_models, models)
    for number in (1, 2):
        (models / str(number) / WARMUP_FILE).unlink()  # takes a second
        (models / str(number) / VERSION_RECORD).write_text(made.record(number).to_text())
    return tmp_path / "work"


@pytest.fixture
def loads() -> Iterator[Callable[..., Load]]:
    started: list[Load] = []

    def start(*arguments: Any) -> Load:
        started.append(Load(*arguments))
        return started[-1]

    yield start
    for load in started:
        load.stop()


def test_no_request_fails_while_an_earlier_version_takes_over_again(
    work: pathlib.Path,
    servers: Callable[..., RunningServer],
    loads: Callable[..., Load],
) -> None:
    server = servers(work / "serving_models" / "genreflow")
    address = f"127.0.0.1:{server.port}"
    load = loads(server)
    load.wait_for(2)
    done = _models("rollback", "--work-dir", work, "--server", address)
    load.wait_for(done["version"])
    listed = {one["version"]: one for one in _models("list", "-w", work, "--server", address)}
    assert listed[done["version"]]["server_state"] == "AVAILABLE"
    assert listed[1]["server_state"] == "not loaded"
    # Pruning keeps what is served, and under load nobody notices.
    pruned = _models("prune", "--keep", 1, "-w", work, "--server", address, "--yes")
    assert done["version"] not in pruned["deleted"]
    before = len(load.answers)
    load.wait_for(done["version"])
    end = time.monotonic() + 60
    while len(load.answers) < before + MORE_ANSWERS and time.monotonic() < end:
        time.sleep(0.02)
    load.stop()
    assert load.failures == []
    versions = [version for version, _ in load.answers]
    assert set(versions) == {2, done["version"]}
    assert len({first for version, first in load.answers if version == 2}) == 1
    # The copy answers as version 1 does, which differs from version 2.
    assert len({first for _, first in load.answers}) == 2


def test_labels_reach_a_running_server_and_move_without_a_failed_request(
    work: pathlib.Path,
    servers: Callable[..., RunningServer],
    loads: Callable[..., Load],
) -> None:
    config = _models("label", 1, "stable", "-w", work)["models_config"]
    server = servers("", model_config_file=config, config_poll_seconds=0.05)
    address = f"127.0.0.1:{server.port}"
    load = loads(server, "stable")
    load.wait_for(1)
    moved = _models("label", 2, "stable", "-w", work, "--server", address)
    assert (moved["moved"], moved["labels"]) == (True, {"stable": 2})
    load.wait_for(2)
    # 1 has no label any more, and is not the newest: it must be loaded before the label moves.
    moved = _models("label", 1, "stable", "-w", work, "--server", address)
    assert moved["moved"]
    before = len(load.answers)
    end = time.monotonic() + 120
    while time.monotonic() < end and 1 not in {v for v, _ in load.answers[before:]}:
        time.sleep(0.02)
    load.stop()
    assert load.failures == []
    assert {version for version, _ in load.answers[before:]} >= {1}
