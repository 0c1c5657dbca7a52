"""S3 server on loopback (moto's), and a proxy in front of it that injects faults."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import http.server
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

KEY_ID = "AKIAGENREFLOWTESTKEY"
SECRET = "s3cr3tOfTheTestsThatMustNotShowUpAnywhere"
TOKEN = "t0kenOfTheTestsThatMustNotShowUpAnywhere"
REGION = "eu-central-1"
VARIABLES = {
    "AWS_ACCESS_KEY_ID": KEY_ID,
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_SESSION_TOKEN": TOKEN,
    "AWS_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
}

_SERVER = """
import os, sys, threading
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()  # until the test process ends
os._exit(0)
"""


def environment(endpoint: str) -> dict[str, str]:
    """Return the environment variables to use the store behind an endpoint."""
    return {**VARIABLES, "AWS_ENDPOINT_URL_S3": endpoint}


@dataclasses.dataclass(frozen=True)
class Exchange:
    """Request as logged by the proxy.

    Attributes:
      method: of HTTP.
      path: with the query.
      status: of the response; 0 if the connection was reset.
      faulty: whether the proxy injected a fault.
    """

    method: str
    path: str
    status: int
    faulty: bool


# Response instead of the server's: (status, body), "reset" to close the connection, "cut" to send
# half of the server's content, None to forward the request.
Fault = tuple[int, str] | str | None
SLOW_DOWN: Fault = (503, "<Error><Code>SlowDown</Code><Message>Reduce your rate.</Message></Error>")
INTERNAL: Fault = (500, "<Error><Code>InternalError</Code><Message>Again.</Message></Error>")
WRONG_KEY: Fault = (
    403,
    "<Error><Code>InvalidAccessKeyId</Code><Message>The AWS Access Key Id you provided does not "
    "exist in our records.</Message><AWSAccessKeyId>" + KEY_ID + "</AWSAccessKeyId></Error>",
)
WRONG_SECRET: Fault = (
    403,
    "<Error><Code>SignatureDoesNotMatch</Code><Message>The request signature we calculated does "
    "not match.</Message><StringToSign>x-amz-security-token:" + TOKEN + "</StringToSign></Error>",
)
DENIED: Fault = (403, "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>")


class Proxy:
    """Proxy that forwards requests to the server, logs them, and injects faults."""

    def __init__(self, server_port: int) -> None:
        self.log: list[Exchange] = []
        self.fault: Callable[[str, str], Fault] = lambda method, path: None
        self._lock = threading.Lock()
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _handle(self) -> None:
                proxy._answer(self, server_port)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _handle  # noqa: N815

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._httpd.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._httpd.server_port}"
        threading.Thread(target=self._httpd.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._httpd.shutdown()
        self._httpd.server_close()

    def fail(self, times: int, fault: Fault, *, method: str = "", path: str = "") -> None:
        """Inject a fault into the next `times` requests of a method whose path contains a text."""
        left = [times]

        def choose(a_method: str, a_path: str) -> Fault:
            with self._lock:
                if left[0] and a_method.startswith(method) and path in a_path:
                    left[0] -= 1
                    return fault
            return None

        self.fault = choose

    def requests(self, method: str, path: str = "") -> list[Exchange]:
        return [e for e in list(self.log) if e.method == method and path in e.path]

    def faults(self) -> int:
        """Return the number of requests with an injected fault."""
        return sum(exchange.faulty for exchange in list(self.log))

    def _answer(self, handler: Any, server_port: int) -> None:
        length = int(handler.headers.get("Content-Length") or 0)
        if handler.headers.get("Expect", "").lower() == "100-continue":
            pass  # the base class has responded to it
        body = handler.rfile.read(length) if length else b""
        if "chunked" in handler.headers.get("Transfer-Encoding", ""):
            body = _read_chunks(handler.rfile)
        fault = self.fault(handler.command, handler.path)
        if fault == "reset":
            self.log.append(Exchange(handler.command, handler.path, 0, True))
            handler.close_connection = True
            handler.connection.close()
            return
        if isinstance(fault, tuple):
            status, content = fault[0], fault[1].encode()
            headers = [("Content-Type", "application/xml")]
        else:
            status, headers, content = self._forward(handler, server_port, body)
        self.log.append(Exchange(handler.command, handler.path, status, fault is not None))
        handler.send_response_only(status)
        head = handler.command == "HEAD"
        for name, value in headers:
            if name.lower() not in ("transfer-encoding", "connection") and (
                head or name.lower() != "content-length"
            ):
                handler.send_header(name, value)
        if not head:
            handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        if fault == "cut":
            content = content[: len(content) // 2]
            handler.close_connection = True
        if not head:
            handler.wfile.write(content)

    @staticmethod
    def _forward(
        handler: Any, server_port: int, body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", server_port, timeout=60)
        with contextlib.closing(connection):
            headers = {
                name: value
                for name, value in handler.headers.items()
                if name.lower() not in ("connection", "transfer-encoding", "expect")
            }
            if body:
                headers["Content-Length"] = str(len(body))
            connection.request(handler.command, handler.path, body=body or None, headers=headers)
            response = connection.getresponse()
            return response.status, response.getheaders(), response.read()


def _read_chunks(stream: Any) -> bytes:
    content = b""
    while size := int(stream.readline().split(b";")[0], 16):
        content += stream.read(size)
        stream.readline()
    stream.readline()
    return content


@contextlib.contextmanager
def server() -> Iterator[int]:
    """Run a moto server, and yield its port."""
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, "moto's server did not start"
    try:
        yield int(line)
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def s3_port() -> Iterator[int]:
    """Return the port of a running moto server."""
    with server() as port:
        yield port


@pytest.fixture
def s3_proxy(s3_port: int) -> Iterator[Proxy]:
    """Return a proxy in front of the server, at first without faults."""
    proxy = Proxy(s3_port)
    yield proxy
    proxy.close()


@pytest.fixture
def s3(s3_proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return a boto3 client, and let this process's environment point to the proxy."""
    for name, value in environment(s3_proxy.endpoint).items():
        monkeypatch.setenv(name, value)
    import boto3

    client = boto3.client("s3")
    yield client
    client.close()


_counter = iter(range(10**9))


@pytest.fixture
def bucket(s3: Any) -> str:
    """Create an empty bucket, and return its name."""
    name = f"genreflow-test-{time.time_ns()}-{next(_counter)}"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    return name
