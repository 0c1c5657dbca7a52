"""The pool of workers: requests at the same time, and its end."""

from __future__ import annotations

import pathlib
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from typing import Any

import pytest
from apache_beam.portability.api import beam_fn_api_pb2

from pipeline.workers import pool, sdk_worker
from pipeline.workers.pool import Pool

OBEDIENT = "import time; time.sleep(60)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    "print(flush=True); time.sleep(60)"
)

Started = list["subprocess.Popen[bytes]"]


@pytest.fixture
def workers(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[Pool, Started]]:
    """Return a function that makes a pool whose workers are a program."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    started: Started = []

    def make(program: str, meet: Callable[[], object] = lambda: None) -> tuple[Pool, Started]:
        def start(contract: object, **options: Any) -> subprocess.Popen[bytes]:
            process = subprocess.Popen(
                [sys.executable, "-c", program], stdout=subprocess.PIPE, **options
            )
            started.append(process)
            meet()
            return process

        monkeypatch.setattr(sdk_worker, "start", start)
        return Pool(lambda line: None), started

    return make


def _request(name: str) -> Any:
    endpoint = {"url": "127.0.0.1:1"}
    return beam_fn_api_pb2.StartWorkerRequest(
        worker_id=name, control_endpoint=endpoint, provision_endpoint=endpoint
    )


def test_of_two_requests_for_one_id_at_once_one_worker_stays(workers: Any) -> None:
    made, started = workers(OBEDIENT, threading.Barrier(2).wait)
    requests = [
        threading.Thread(target=made.StartWorker, args=(_request("w"), None)) for _ in range(2)
    ]
    for one in requests:
        one.start()
    for one in requests:
        one.join(30)
    assert len(started) == 2
    assert sum(process.poll() is None for process in started) == 1
    made.close()
    assert all(process.poll() is not None for process in started)


def test_a_worker_whose_start_is_in_progress_at_the_end_ends_too(
    workers: Any, tmp_path: pathlib.Path
) -> None:
    begun, closed = threading.Event(), threading.Event()

    def meet() -> None:
        begun.set()
        closed.wait(30)

    made, started = workers(OBEDIENT, meet)
    answers: list[Any] = []
    request = threading.Thread(target=lambda: answers.append(made.StartWorker(_request("w"), None)))
    request.start()
    assert begun.wait(30)
    made.close()
    closed.set()
    request.join(30)
    assert answers[0].error == "the pool ends"
    assert started[0].poll() is not None
    assert not list(tmp_path.iterdir())


def test_many_workers_that_ignore_the_signal_end_within_one_limit(
    workers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "STOP_SECONDS", 1.0)
    waits: list[float] = []
    wait = subprocess.Popen.wait

    def noting(process: Any, timeout: float | None = None) -> int:
        waits.extend([] if timeout is None else [timeout])
        return wait(process, timeout)

    monkeypatch.setattr(subprocess.Popen, "wait", noting)
    made, started = workers(STUBBORN)
    for name in "abcd":
        assert not made.StartWorker(_request(name), None).error
    for process in started:
        process.stdout.readline()
    made.close()
    assert len(waits) == 4
    assert sum(waits) <= 1.0
    assert all(process.poll() is not None for process in started)


def test_a_worker_that_cannot_start_leaves_nothing(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(sdk_worker, "start", refuse)
    answer = Pool(lambda line: None).StartWorker(_request("w"), None)
    assert "Resource temporarily unavailable" in answer.error
    assert not list(tmp_path.iterdir())
