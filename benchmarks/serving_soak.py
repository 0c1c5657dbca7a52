"""Soak test of the server: failures and memory under load while new versions appear.

    python -m benchmarks.serving_soak [--minutes 5] [--every 20] [--clients 8]
        [--architecture cnn_small]

Clients call all four signatures of `genreflow serve` over gRPC and one over REST, without a pause.
Every --every seconds a new version is copied into the model's folder, file by file as `cp -r` does,
and an old one is deleted. Every response is compared with the model's result in this process; all
versions have the same weights. The program prints requests, failures, the versions that responded,
and the server's anonymous resident memory as the median of each sixth of the time. It exits with 1
after a failure.
"""

from __future__ import annotations

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

from benchmarks.shared import command
from benchmarks.shared.serving import MESSAGE_BYTES, PARAMS, export, predict_request, server, song
from serving.protocol.protos import prediction_service_pb2_grpc
from serving.protocol.tensors import to_array

TOLERANCE = 1e-4
KEPT_VERSIONS = 2
PARTS = 6


class Clients:
    """Threads that send requests without a pause and check the responses.

    Attributes:
      completed: number of requests by kind, failed ones included.
      failures: descriptions.
      versions: the versions that responded over gRPC.
    """

    def __init__(self, ready: dict[str, Any], expected: dict[Any, Any]) -> None:
        self._ready, self._expected = ready, expected
        self._stop = threading.Event()
        self.completed: collections.Counter[str] = collections.Counter()
        self.failures: list[str] = []
        self.versions: set[int] = set()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def start(self, clients: int) -> None:
        loops = [self._grpc] * clients + [self._rest]
        self._threads = [
            threading.Thread(target=loop, args=(number,)) for number, loop in enumerate(loops)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _count(self, kind: str, failure: str = "", version: int = 0) -> None:
        with self._lock:
            self.completed[kind] += 1
            if failure:
                self.failures.append(f"{kind}: {failure}")
            if version:
                self.versions.add(version)

    def _grpc(self, number: int) -> None:
        options = [
            ("grpc.max_receive_message_length", MESSAGE_BYTES),
            ("grpc.use_local_subchannel_pool", 1),
        ]
        calls = list(self._expected)
        with grpc.insecure_channel(f"127.0.0.1:{self._ready['port']}", options=options) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            turn = number
            while not self._stop.is_set():
                signature, rows = calls[turn % len(calls)]
                turn += 1
                inputs, expected = self._expected[signature, rows]
                failure, version = "", 0
                try:
                    response = stub.Predict(predict_request(signature, **inputs), timeout=60)
                    version = response.model_spec.version.value
                    if expected is not None:
                        got = to_array(response.outputs["probabilities"])
                        if got.shape != expected.shape or np.abs(got - expected).max() > TOLERANCE:
                            failure = f"wrong probabilities {got}"
                except grpc.RpcError as error:
                    failure = f"{error.code()} {error.details()}"
                self._count(f"{signature} x {rows}", failure, version)

    def _rest(self, number: int) -> None:
        url = f"http://127.0.0.1:{self._ready['rest_port']}/v1/models/genreflow:predict"
        inputs, expected = self._expected["serving_default", 1]
        body = {"instances": inputs["waveform"].tolist()}
        with requests.Session() as session:
            session.trust_env = False
            while not self._stop.is_set():
                response = session.post(url, json=body, timeout=60)
                failure = "" if response.ok else f"{response.status_code} {response.text}"
                if not failure:
                    rows = response.json()["predictions"]
                    got = np.array([row["probabilities"] for row in rows])
                    if np.abs(got - expected).max() > TOLERANCE:
                        failure = f"wrong probabilities {got}"
                self._count("REST", failure)


def expected_results(model: pathlib.Path) -> dict[Any, Any]:
    """Call the model in this process.

    Returns:
      Inputs and probabilities (None for `describe`) by signature and number of rows.
    """
    import tensorflow as tf

    from components.export.warmup import warmup_inputs

    signatures = tf.saved_model.load(str(model)).signatures
    calls: dict[Any, Any] = {}
    for rows in (1, 5):
        for signature, inputs in warmup_inputs(PARAMS, rows).items():
            calls[signature, rows] = dict(inputs)
    calls["serving_default", 15] = {"waveform": song()}
    calls["serving_default", 3] = {"waveform": song(12.5)[:3]}
    expected = {}
    for (signature, rows), inputs in calls.items():
        tensors = {name: tf.constant(values) for name, values in inputs.items()}
        result = signatures[signature](**tensors).get("probabilities")
        expected[signature, rows] = (inputs, None if result is None else result.numpy())
    return expected


def _anonymous_bytes(process: psutil.Process) -> int:
    """Return a process's resident memory without shared files such as libraries."""
    memory = process.memory_info()
    return memory.rss - memory.shared


def main() -> None:
    parser = command.parser(__file__, __doc__)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--every", type=float, default=20, help="seconds between new versions")
    parser.add_argument("--clients", type=int, default=8, help="over gRPC")
    parser.add_argument("--architecture", default="cnn_small")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder, "source")
        export(arguments.architecture, source)
        models = pathlib.Path(folder, "models", "genreflow")
        shutil.copytree(source, models / "1")
        with server(models) as ready:
            clients = Clients(ready, expected_results(source))
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
    total = clients.completed.total()
    print(f"{total} requests in {arguments.minutes:g} minutes, {len(clients.failures)} failed")
    for kind, count in sorted(clients.completed.items()):
        print(f"  {kind}: {count}")
    print(f"versions copied: {version}; responded: {sorted(clients.versions)}")
    parts = np.array_split(np.array(memory) / 2**20, PARTS)
    print("memory, MB:", ", ".join(f"{statistics.median(part):.0f}" for part in parts))
    for failure in clients.failures[:10]:
        print(failure[:500])
    sys.exit(1 if clients.failures else 0)


if __name__ == "__main__":
    main()
