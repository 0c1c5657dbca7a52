"""Tests of `genreflow beam-worker`: the pool's life, and the words for mistakes."""

from __future__ import annotations

import os
import pathlib
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from genreflow.cli import app as cli
from tests.support import commands
from tests.support.beam_services import free_port


def test_it_has_the_flags_that_runners_give_to_containers() -> None:
    command: Any = typer.main.get_command(cli.app)
    flags = {flag for option in command.commands["beam-worker"].params for flag in option.opts}
    assert flags >= {
        "--id", "--logging_endpoint", "--artifact_endpoint", "--provision_endpoint",
        "--control_endpoint", "--semi_persist_dir",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ([], 2, "--id is missing"),
        (["--id=1-1"], 2, "--provision_endpoint is missing"),
        (["--pool", "50000x"], 2, "must be [HOST:]PORT"),
        (["--pool", "1", "--id=1-1"], 2, "--pool goes without --id"),
        (["--pool", "192.0.2.1:50000"], 2, "cannot listen there (Cannot assign requested address)"),
        (
            ["--pool", "no.such.host.invalid:50000"],
            2,
            "no.such.host.invalid:50000: cannot listen there (",
        ),
        (["--id=1-1", "--provision_endpoint=localhost:1"], 1, "no provision service of Beam"),
    ],
)
def test_mistakes_are_told(words: list[str], status: int, said: str) -> None:
    done = subprocess.run(
        [commands.GENREFLOW, "beam-worker", *words],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == status, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def _pool(*words: object) -> tuple[subprocess.Popen[str], str]:
    process = commands.start("beam-worker", "--pool", *words)
    assert process.stdout
    return process, process.stdout.readline()


@pytest.fixture
def pool() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Yield a pool and the address that it told."""
    process, line = _pool(0)
    address = re.fullmatch(r"workers on request at (127\.0\.0\.1:\d+) \(Ctrl-C stops\)\n", line)
    try:
        assert address, line
        yield process, address[1]
    finally:
        process.kill()
        process.wait()


def _start_worker(address: str) -> None:
    """Start a worker, whose runner does not respond."""
    import grpc
    from apache_beam.portability.api import beam_fn_api_pb2, beam_fn_api_pb2_grpc

    endpoint = {"url": f"127.0.0.1:{free_port()}"}
    request = beam_fn_api_pb2.StartWorkerRequest(
        worker_id="w-1", control_endpoint=endpoint, provision_endpoint=endpoint
    )
    with grpc.insecure_channel(address) as channel:
        stub = beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolStub(channel)
        assert not stub.StartWorker(request, timeout=30).error


def _workers(pool: int) -> list[int]:
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(path.read_text().rpartition(")")[2].split()[1]) == pool:
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def _wait_for_end(pids: list[int]) -> None:
    deadline = time.monotonic() + 30
    while any(os.path.exists(f"/proc/{pid}/exe") for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_its_workers_end_with_it(pool: tuple[subprocess.Popen[str], str], sent: int) -> None:
    process, address = pool
    _start_worker(address)
    workers = _workers(process.pid)
    assert len(workers) == 1
    process.send_signal(sent)
    try:
        output = process.communicate(timeout=60)[0]
    except subprocess.TimeoutExpired as late:
        pytest.fail(f"the pool (status {process.poll()}) or {_workers(process.pid)}: {late.output}")
    _wait_for_end(workers)
    if sent == signal.SIGKILL:
        return
    assert process.returncode == 0, output
    assert re.search(rf"worker w-1 started \(process {workers[0]}\)\nstopped\n$", output), output


def test_a_port_in_use_is_told(pool: tuple[subprocess.Popen[str], str]) -> None:
    process, line = _pool(pool[1])
    try:
        assert process.wait(60) == 2
    finally:
        process.kill()
    assert "cannot listen there (Address already in use)" in line


def test_it_warns_where_other_machines_can_reach_it() -> None:
    process, line = _pool("0.0.0.0:0")
    process.terminate()
    process.wait(60)
    assert re.match(
        r"genreflow: warning: whoever reaches 0\.0\.0\.0:\d+ can run code as this user", line
    )
