"""Latency of a server compared with a call in process, and the gain from batching.

    python -m benchmarks.serving_latency [--architectures ffnn cnn_small vgg16]
        [--songs 30] [--seconds 10] [--clients 1 8 32]

The first table has the p50 of one 30-second song (its windows in one request), for the same
SavedModel in this process and behind `genreflow serve` over gRPC, from the samples to the
probabilities. Both are called in turn, each first in every other turn, so that other work on the
machine affects both. "ratio" is through the server over in process.

The second table has requests a second, p50 and p99 with several clients at once, with and without
batching. Each client sends one clip a request, and the next one after the response. The clients are
threads of a separate process that sends prepared bytes, and share the machine's cores with the
server. Both servers are measured in turn, three times each; figures cover all rounds.
"""

from __future__ import annotations

import argparse
import itertools
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt

from benchmarks.shared import command
from benchmarks.shared.serving import (
    MESSAGE_BYTES,
    PREDICT,
    export,
    params_of,
    percentile_ms,
    predict_request,
    server,
    song,
)
from serving.protocol.protos import predict_pb2
from serving.protocol.tensors import to_array

ROUNDS = 3
OPTIONS = [
    ("grpc.max_receive_message_length", MESSAGE_BYTES),
    ("grpc.max_send_message_length", MESSAGE_BYTES),
]


def _raw_call(address: str, own_connection: bool = False) -> tuple[Any, Any]:
    options = [*OPTIONS, ("grpc.use_local_subchannel_pool", int(own_connection))]
    channel = grpc.insecure_channel(address, options=options)
    return channel, channel.unary_unary(PREDICT)


def one_song(
    architecture: str, models: pathlib.Path, songs: int
) -> tuple[list[float], list[float]]:
    """Measure the seconds of each call, in process and through the server."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(models / "1"))
    signature = loaded.signatures["serving_default"]
    windows = song(params=params_of(architecture))
    with server(models) as ready:
        channel, call = _raw_call(f"127.0.0.1:{ready['port']}")

        def in_process() -> npt.NDArray[np.float32]:
            return signature(waveform=tf.constant(windows))["probabilities"].numpy()

        def through_server() -> npt.NDArray[np.float32]:
            request = predict_request("serving_default", waveform=windows)
            response = call(request.SerializeToString(), timeout=120)
            outputs = predict_pb2.PredictResponse.FromString(response).outputs
            return to_array(outputs["probabilities"])

        ways = (in_process, through_server)
        seconds: tuple[list[float], list[float]] = ([], [])
        with channel:
            for turn in range(songs + 2):
                for way in (turn % 2, 1 - turn % 2):
                    begun = time.perf_counter()
                    result = ways[way]()
                    if turn >= 2:  # after two warm-up calls of each
                        seconds[way].append(time.perf_counter() - begun)
                    assert result.shape[0] == len(windows)
    return seconds


def load(architecture: str, address: str, clients: int, seconds: float) -> dict[str, Any]:
    """Send requests to a network's server from many threads for some time.

    Returns:
      `taken`: seconds of each request; `failed`: codes of the failed ones; `elapsed`: seconds of
      the whole measurement.
    """
    bodies = [
        predict_request("serving_default", waveform=row[np.newaxis]).SerializeToString()
        for row in song(seed=clients, params=params_of(architecture))
    ]
    taken: list[list[float]] = [[] for _ in range(clients)]
    failed: list[str] = []
    stop = threading.Event()

    def client(number: int) -> None:
        channel, call = _raw_call(address, own_connection=True)
        with channel:
            turn = number
            while not stop.is_set():
                begun = time.perf_counter()
                try:
                    call(bodies[turn % len(bodies)], timeout=120)
                except grpc.RpcError as error:
                    failed.append(str(error.code()))
                    continue
                taken[number].append(time.perf_counter() - begun)
                turn += 1

    threads = [threading.Thread(target=client, args=(n,)) for n in range(clients)]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    stop.set()
    for thread in threads:
        thread.join()
    elapsed = time.perf_counter() - begun
    return {"elapsed": elapsed, "taken": list(itertools.chain(*taken)), "failed": failed}


def load_in_process(architecture: str, port: int, clients: int, seconds: float) -> dict[str, Any]:
    """Call `load` in a separate process."""
    words = [sys.executable, "-m", command.module(__file__)]
    words += ["--load", architecture, f"127.0.0.1:{port}", str(clients), str(seconds)]
    return json.loads(subprocess.run(words, check=True, capture_output=True).stdout)


def print_clients(architecture: str, models: pathlib.Path, arguments: argparse.Namespace) -> None:
    """Print the second table's rows of a network."""
    with server(models, "--batching") as batched, server(models, "--no-batching") as plain:
        ports = {"batched": batched["port"], "one by one": plain["port"]}
        for clients in arguments.clients:
            rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in ports}
            for port in ports.values():
                load_in_process(architecture, port, clients, 2)  # warm-up
            for _ in range(ROUNDS):
                for name, port in ports.items():
                    rounds[name].append(
                        load_in_process(architecture, port, clients, arguments.seconds)
                    )
            rates = {}
            for name, results in rounds.items():
                taken = [second for result in results for second in result["taken"]]
                failed = sum(len(result["failed"]) for result in results)
                rates[name] = len(taken) / sum(result["elapsed"] for result in results)
                ratio = f"{rates['batched'] / rates[name]:.2f}" if name != "batched" else ""
                print(
                    f"| {architecture} | {clients} | {name} | {rates[name]:.1f} | "
                    f"{percentile_ms(taken, 50):.1f} | {percentile_ms(taken, 99):.1f} | {failed} | "
                    f"{ratio} |",
                    flush=True,
                )


def main() -> None:
    parser = command.parser(__file__, __doc__)
    parser.add_argument("--architectures", nargs="+", default=["ffnn", "cnn_small", "vgg16"])
    parser.add_argument("--songs", type=int, default=30, help="calls of each kind, first table")
    parser.add_argument("--seconds", type=float, default=10, help="of a round, second table")
    parser.add_argument(
        "--clients",
        type=int,
        nargs="*",
        default=[1, 8, 32],
        help="numbers of clients to try; none leaves the second table out",
    )
    parser.add_argument("--load", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.load:
        architecture, address, clients, seconds = arguments.load
        print(json.dumps(load(architecture, address, int(clients), float(seconds))))
        return
    with tempfile.TemporaryDirectory() as folder:
        models = {name: pathlib.Path(folder, name, "genreflow") for name in arguments.architectures}
        for name, path in models.items():
            export(name, path / "1")
        print("| network | in process p50, ms | through the server p50, ms | ratio |")
        print("|---|---|---|---|")
        for name, path in models.items():
            direct, through = one_song(name, path, arguments.songs)
            ratio = statistics.median(through) / statistics.median(direct)
            print(
                f"| {name} | {percentile_ms(direct, 50):.1f} | {percentile_ms(through, 50):.1f} | "
                f"{ratio:.2f} |",
                flush=True,
            )
        if not arguments.clients:
            return
        print(
            "\n| network | clients | requests | a second | p50, ms | p99, ms | failed | "
            "batched / one by one |"
        )
        print("|---|---|---|---|---|---|---|---|")
        for name, path in models.items():
            print_clients(name, path, arguments)


if __name__ == "__main__":
    main()
