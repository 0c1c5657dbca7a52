"""MySQL-compatible server on loopback (Debian's MariaDB) for ML Metadata."""

from __future__ import annotations

import dataclasses
import getpass
import pathlib
import socket
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

USER, DATABASE = "genreflow", "genreflow"
PASSWORD = "passwordOfTheTestsThatMustNotShowUpAnywhere"
_SECONDS = 60.0
_INITIAL = f"""
CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE USER '{USER}'@'%' IDENTIFIED BY '{PASSWORD}';
GRANT ALL ON {DATABASE}.* TO '{USER}'@'%';
"""


@dataclasses.dataclass(frozen=True)
class MariaDb:
    """Running server with one empty database."""

    port: int
    folder: pathlib.Path

    @property
    def url(self) -> str:
        return f"mysql://{USER}@127.0.0.1:{self.port}/{DATABASE}"


@pytest.fixture(scope="module")
def mariadb(
    tmp_path_factory: pytest.TempPathFactory, requires_program: Callable[[str, str], str]
) -> Iterator[MariaDb]:
    """Run a server."""
    server = requires_program("mariadbd", "mariadb-server-core")
    requires_program("my_print_defaults", "mariadb-client-core")
    installer = requires_program("mariadb-install-db", "mariadb-server-core")
    folder = tmp_path_factory.mktemp("mariadb")
    log = folder / "log"
    common = ["--no-defaults", f"--datadir={folder / 'data'}", f"--user={getpass.getuser()}"]
    subprocess.run(
        [installer, *common, "--auth-root-authentication-method=normal", "--skip-test-db"],
        stdout=log.open("w"),
        stderr=subprocess.STDOUT,
        check=True,
        timeout=_SECONDS,
    )
    (folder / "initial.sql").write_text(_INITIAL, encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [
            server, *common, "--bind-address=127.0.0.1", f"--port={port}",
            f"--socket={folder / 'socket'}", f"--pid-file={folder / 'pid'}",
            f"--init-file={folder / 'initial.sql'}",
        ],
        stdout=log.open("a"),
        stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        _wait(process, port, log)
        yield MariaDb(port, folder)
    finally:
        process.terminate()
        process.wait(_SECONDS)


def _wait(process: subprocess.Popen[bytes], port: int, log: pathlib.Path) -> None:
    """Wait until the server listens, which it does after the initial statements."""
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text(encoding="utf-8", errors="replace")
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1.0):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"no MariaDB within {_SECONDS} s: {log.read_text('utf-8', 'replace')}")
