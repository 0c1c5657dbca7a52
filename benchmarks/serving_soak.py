"""Minutes of mixed requests while new versions keep appearing: failures, and memory.

    python -m benchmarks.serving_soak [--minutes 5] [--every 20] [--clients 8]
        [--architecture cnn_small]

Clients ask `genreflow serve` for all four signatures over gRPC and for one over REST, without
a pause, while every `--every` seconds a new version is copied into the model's folder, file by
file, as `cp -r` would, and old ones are deleted. Every answer is held against what the model in
this process says; versions have the same weights, so any version may answer. Printed: requests,
failures, versions seen, and the server's resident memory (its anonymous part) as the median of
each sixth of the time.
"""

from __future__ import annotations

import argparse
import collections
import pathlib
import shutil
import statistics
import sys
import tempfile
import threading
import time
from typing import Any

import grpc
import numpy as np
import psutil
import requests

from benchmarks.serving_bench import MESSAGE_BYTES, PARAMS, export, predict_request, server, song
from serving.protocol.protos import prediction_service_pb2_grpc
from serving.protocol.tensors import to_array

ROOT = pathlib.Path(__file__).resolve().parents[1]


TOLERANCE = 1e-4
KEPT_VERSIONS = 2
PARTS = 6


class Clients:
    """Threads that ask without a pause, and what they were told."""

    def __init__(self, ready: dict[str, Any], expected: dict[Any, Any]) -> None:
        self._ready, self._expected = ready, expected
        self._stop = threading.Event()
        self.answered: collections.Counter[str] = collections.Counter()
        self.failures: list[str] = []
        self.versions: set[int] = set()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def start(self, clients: int) -> None:
        works = [self._grpc] * clients + [self._rest]
        self._threads = [
            threading.Thread(target=work, args=(number,)) for number, work in enumerate(works)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _count(self, what: str, failure: str = "", version: int = 0) -> None:
        with self._lock:
            self.answered[what] += 1
            if failure:
                self.failures.append(f"{what}: {failure}")
            if version:
                self.versions.add(version)

    def _grpc(self, number: int) -> None:
        options = [
            ("grpc.max_receive_message_length", MESSAGE_BYTES),
            ("grpc.use_local_subchannel_pool", 1),
        ]
        asked = list(self._expected)
        with grpc.insecure_channel(f"127.0.0.1:{self._ready['port']}", options=options) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            turn = number
            while not self._stop.is_set():
                signature, rows = asked[turn % len(asked)]
                turn += 1
                inputs, answer = self._expected[signature, rows]
                failure, version = "", 0
                try:
                    reply = stub.Predict(predict_request(signature, **inputs), timeout=60)
                    version = reply.model_spec.version.value
                    if answer is not None:
                        got = to_array(reply.outputs["probabilities"])
                        if got.shape != answer.shape or np.abs(got - answer).max() > TOLERANCE:
                            failure = f"answered {got}"
                except grpc.RpcError as error:
                    failure = f"{error.code()} {error.details()}"
                self._count(f"{signature} x {rows}", failure, version)

    def _rest(self, number: int) -> None:
        url = f"http://127.0.0.1:{self._ready['rest_port']}/v1/models/genreflow:predict"
        inputs, answer = self._expected["serving_default", 1]
        body = {"instances": inputs["waveform"].tolist()}
        with requests.Session() as session:
            session.trust_env = False
            while not self._stop.is_set():
                reply = session.post(url, json=body, timeout=60)
                failure = "" if reply.ok else f"{reply.status_code} {reply.text}"
                if not failure:
                    got = np.array([row["probabilities"] for row in reply.json()["predictions"]])
                    if np.abs(got - answer).max() > TOLERANCE:
                        failure = f"answered {got}"
                self._count("REST", failure)


def expectations(model: pathlib.Path) -> dict[Any, Any]:
    """(signature, rows) to (inputs, probabilities or None), by the model in this process."""
    import tensorflow as tf

    from components.export.warmup import warmup_inputs

    signatures = tf.saved_model.load(str(model)).signatures
    asked: dict[Any, Any] = {}
    for rows in (1, 5):
        for signature, inputs in warmup_inputs(PARAMS, rows).items():
            asked[signature, rows] = dict(inputs)
    asked["serving_default", 15] = {"waveform": song()}
    asked["serving_default", 3] = {"waveform": song(12.5)[:3]}
    expected = {}
    for (signature, rows), inputs in asked.items():
        tensors = {name: tf.constant(values) for name, values in inputs.items()}
        answer = signatures[signature](**tensors).get("probabilities")
        expected[signature, rows] = (inputs, None if answer is None else answer.numpy())
    return expected


def _anonymous_bytes(process: psutil.Process) -> int:
    """What it has of its own, shared files such as libraries not counted."""
    memory = process.memory_info()
    return memory.rss - memory.shared


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--every", type=float, default=20)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--architecture", default="cnn_small")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder, "source")
        export(arguments.architecture, source)
        models = pathlib.Path(folder, "models", "genreflow")
        shutil.copytree(source, models / "1")
        with server(models) as ready:
            clients = Clients(ready, expectations(source))
            process = psutil.Process(ready["pid"])
            clients.start(arguments.clients)
            begun = time.monotonic()
            memory: list[int] = []
            version = 1
            while (elapsed := time.monotonic() - begun) < arguments.minutes * 60:
                if elapsed >= version * arguments.every:
                    version += 1
                    shutil.copytree(source, models / str(version))
                    if version > KEPT_VERSIONS:
                        shutil.rmtree(models / str(version - KEPT_VERSIONS))
                memory.append(_anonymous_bytes(process))
                time.sleep(0.5)
            clients.stop()
    total = clients.answered.total()
    print(f"{total} requests in {arguments.minutes:g} minutes, {len(clients.failures)} failed")
    for what, count in sorted(clients.answered.items()):
        print(f"  {what}: {count}")
    print(f"versions made: {version}; that answered: {sorted(clients.versions)}")
    parts = np.array_split(np.array(memory) / 2**20, PARTS)
    print("memory, MB:", ", ".join(f"{statistics.median(part):.0f}" for part in parts))
    for failure in clients.failures[:10]:
        print(failure[:500])
    sys.exit(1 if clients.failures else 0)


if __name__ == "__main__":
    main()
