"""Beam's job services on loopback (Prism, the Python SDK's), and worker pools that see little."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping

import pytest

from tests.support import s3_server

_SECONDS = 60.0
_GENREFLOW = "from genreflow.cli.app import main; main()"


@dataclasses.dataclass
class Service:
    """Running process that listens.

    Attributes:
      endpoint: HOST:PORT, for gRPC.
      process: the process.
      scratch: its folder for temporary files.
      log: file with its output.
    """

    endpoint: str
    process: subprocess.Popen[bytes]
    scratch: pathlib.Path
    log: pathlib.Path

    def output(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")


@dataclasses.dataclass
class IsolatedPool(Service):
    """Worker pool in a mount namespace of its own; `hidden` is an empty folder there."""

    hidden: pathlib.Path

    @property
    def inside(self) -> pathlib.Path:
        """The folder `hidden` as the pool sees it; its workers' temporary files are in `tmp`."""
        return pathlib.Path(f"/proc/{self.process.pid}/root{self.hidden}")

    def workers(self) -> list[int]:
        """Return the process ids of its workers."""
        found = []
        for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                parent = int(path.read_text().rpartition(")")[2].split()[1])
                if parent == self.process.pid:
                    found.append(int(path.parent.name))
        return found


@contextlib.contextmanager
def run_prism(program: str, folder: pathlib.Path) -> Iterator[Service]:
    """Run Prism on a free port."""
    port = free_port()
    command = [program, f"--job_port={port}", "--serve_http=false"]
    with _running(command, folder, f"localhost:{port}") as service:
        yield service


@contextlib.contextmanager
def run_job_service(folder: pathlib.Path) -> Iterator[Service]:
    """Run the Python SDK's job service on a free port."""
    port = free_port()
    staging = folder / "staging"
    staging.mkdir(parents=True)
    command = [
        sys.executable, "-m", "apache_beam.runners.portability.local_job_service_main",
        f"--port={port}", f"--staging_dir={staging}",
    ]  # fmt: skip
    with _running(command, folder, f"localhost:{port}") as service:
        yield service


@contextlib.contextmanager
def run_isolated_pool(
    hidden: pathlib.Path, folder: pathlib.Path, environment: Mapping[str, str]
) -> Iterator[IsolatedPool]:
    """Run `genreflow beam-worker --pool` where a folder of this machine is empty.

    Args:
      hidden: the folder, with everything that the workers must not see.
      folder: for the log, which is opened outside.
      environment: variables of the pool, such as those of an object store.
    """
    port = free_port()
    hide = (
        f"mount -t tmpfs none {shlex.quote(str(hidden))} && mkdir {shlex.quote(str(hidden))}/tmp "
        f'&& cd / && exec "$@"'
    )
    command = [
        *_unshare(), "sh", "-c", hide, "sh", sys.executable, "-c", _GENREFLOW, "beam-worker",
        "--pool", str(port),
    ]  # fmt: skip
    variables = {**environment, "TMPDIR": f"{hidden}/tmp"}
    with _running(command, folder, f"localhost:{port}", variables) as service:
        yield IsolatedPool(**vars(service), hidden=hidden)


def _unshare() -> list[str]:
    """Return the command for a mount namespace, which root may make, and others in most kernels."""
    command = ["unshare", "--mount"]
    if os.getuid():
        command.append("--map-root-user")
    if "shared:" not in pathlib.Path("/proc/self/mountinfo").read_text(encoding="utf-8"):
        # It cannot be changed in a chroot, and need not be in a namespace that is private.
        command.append("--propagation=unchanged")
    probe = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
    if probe.returncode:
        missing = f"needs a mount namespace: {probe.stderr.strip()}"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    return command


@contextlib.contextmanager
def _running(
    command: list[str],
    folder: pathlib.Path,
    endpoint: str,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Service]:
    scratch, log = folder / "tmp", folder / "log"
    scratch.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, "TMPDIR": str(scratch), **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd="/",
        )
    service = Service(endpoint, process, scratch, log)
    try:
        _wait(service)
        yield service
    finally:
        process.terminate()
        try:
            process.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(service: Service) -> None:
    host, _, port = service.endpoint.rpartition(":")
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        assert service.process.poll() is None, service.output()
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 1.0):
            return
        time.sleep(0.05)
    raise AssertionError(f"nothing listens at {service.endpoint}: {service.output()}")


def wait_until(condition: Callable[[], object], seconds: float = _SECONDS) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s"
        time.sleep(0.05)


def free_port() -> int:
    """Return a port of loopback on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def prism_program(requires_program: Callable[[str, str], str]) -> str:
    """Return the path of Prism, which scripts/ci_packages.sh builds."""
    return requires_program("prism", "github.com/apache/beam, with Go 1.26")


@pytest.fixture(scope="module")
def prism(prism_program: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Return a running Prism, Beam's portable runner."""
    with run_prism(prism_program, tmp_path_factory.mktemp("prism")) as service:
        yield service


@pytest.fixture(scope="module")
def job_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Return a running job service of Beam's Python SDK."""
    with run_job_service(tmp_path_factory.mktemp("job-service")) as service:
        yield service


@pytest.fixture(scope="module")
def isolated_worker(
    s3_port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[IsolatedPool]:
    """Return a pool of workers that see moto's store, and nothing of pytest's temporary folders.

    So a test's data, work folder and temporary files must be below tmp_path.
    """
    environment = s3_server.environment(f"http://127.0.0.1:{s3_port}")
    folder = tmp_path_factory.mktemp("pool")
    with run_isolated_pool(tmp_path_factory.getbasetemp(), folder, environment) as pool:
        yield pool
