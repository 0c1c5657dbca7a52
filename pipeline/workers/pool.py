"""Worker pool: starts and stops SDK workers as runners ask (Beam's environment EXTERNAL).

Beam's own pool listens on all interfaces, and whoever reaches a pool can run code: this one listens
on one address. Imports Beam.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from typing import Any

import grpc
from apache_beam.portability.api import beam_fn_api_pb2, beam_fn_api_pb2_grpc

from components.common.errors import UsageError
from components.common.escape import printable
from pipeline.workers import sdk_worker
from pipeline.workers.contract import Address, Contract

# For a worker to end after SIGTERM.
STOP_SECONDS = 10.0

Say = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class _Worker:
    process: subprocess.Popen[bytes]
    scratch: str


class Pool(beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolServicer):  # type: ignore[misc]
    """Service that starts and stops workers, each a process with its own temporary folder."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._workers: dict[str, _Worker] = {}
        self._closed = False
        self._lock = threading.Lock()

    def StartWorker(self, request: Any, context: Any) -> Any:  # noqa: N802  Beam's name
        """Start a worker, in place of an earlier one of the same id."""
        self._stop(request.worker_id)
        scratch = ""
        try:
            contract = Contract(
                id=request.worker_id,
                provision_endpoint=request.provision_endpoint.url or request.control_endpoint.url,
                control_endpoint=request.control_endpoint.url,
                logging_endpoint=request.logging_endpoint.url,
                artifact_endpoint=request.artifact_endpoint.url,
            )
            scratch = tempfile.mkdtemp(prefix="genreflow-worker-")
            environment = {**os.environ, "TMPDIR": scratch}
            worker = _Worker(
                sdk_worker.start(contract, env=environment, start_new_session=True), scratch
            )
        except (OSError, UsageError) as error:
            shutil.rmtree(scratch, ignore_errors=True)
            return beam_fn_api_pb2.StartWorkerResponse(error=str(error))
        with self._lock:
            # Of another request for this id, such as a repeated one, at the same time.
            replaced = self._workers.pop(contract.id, None)
            closed = self._closed
            if not closed:
                self._workers[contract.id] = worker
        _end(one for one in (replaced, worker if closed else None) if one is not None)
        if closed:
            return beam_fn_api_pb2.StartWorkerResponse(error="the pool ends")
        threading.Thread(target=self._watch, args=(contract.id, worker), daemon=True).start()
        self._say(f"worker {contract.id} started (process {worker.process.pid})")
        return beam_fn_api_pb2.StartWorkerResponse()

    def StopWorker(self, request: Any, context: Any) -> Any:  # noqa: N802  Beam's name
        """Stop a worker; do nothing if there is none of this id."""
        self._stop(request.worker_id)
        return beam_fn_api_pb2.StopWorkerResponse()

    def close(self) -> None:
        """Stop all workers, and those whose start is in progress."""
        with self._lock:
            self._closed = True
            workers = list(self._workers.values())
            self._workers.clear()
        _end(workers)

    def _stop(self, name: str) -> None:
        with self._lock:
            worker = self._workers.pop(name, None)
        if worker is not None:
            _end([worker])

    def _watch(self, name: str, worker: _Worker) -> None:
        """Wait for a worker's end, and remove what it left."""
        status = worker.process.wait()
        with self._lock:
            ended_itself = self._workers.get(name) is worker
            if ended_itself:
                del self._workers[name]
        shutil.rmtree(worker.scratch, ignore_errors=True)
        if ended_itself and status:
            self._say(f"worker {name} ended with status {status}")


def _end(workers: Iterable[_Worker]) -> None:
    """End workers, all within the same time, and remove what they left."""
    workers = list(workers)
    for worker in workers:
        worker.process.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    for worker in workers:
        try:
            worker.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            worker.process.kill()
            worker.process.wait()
        shutil.rmtree(worker.scratch, ignore_errors=True)


@contextlib.contextmanager
def serving(address: Address, say: Say) -> Iterator[Address]:
    """Run a pool during a block, and yield the address that it listens on.

    Args:
      address: where to listen.
      say: called with a line for people when a worker starts or fails.

    Raises:
      UsageError: the address is not this machine's, or its port is in use.
    """
    # No second server on the same port, which gRPC allows by default.
    server = grpc.server(
        futures.ThreadPoolExecutor(max_workers=16), options=[("grpc.so_reuseport", 0)]
    )
    pool = Pool(lambda line: say(printable(line)))
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(pool, server)
    _check_free(address)
    port = server.add_insecure_port(str(address))
    server.start()
    try:
        yield dataclasses.replace(address, port=port)
    finally:
        server.stop(grace=None)
        pool.close()


def _check_free(address: Address) -> None:
    """Raise UsageError with the system's reason if an address cannot be bound; gRPC has none."""
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
    except OSError as error:
        raise UsageError(
            f"--pool {address}: cannot listen there ({error.strerror or error}); choose a free "
            "port and an address of this machine"
        ) from error
