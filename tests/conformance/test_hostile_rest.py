"""Tests with thousands of REST requests that are random, changed at random or not HTTP at all.

Some clients connect and send nothing."""

from __future__ import annotations

import base64
import collections
import concurrent.futures
import contextlib
import gzip
import http.client
import json
import random
import socket
import urllib.parse
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
import schemathesis

from tests.conformance.conftest import Direct
from tests.conformance.hostile import assert_clear, mutated
from tests.conformance.served import DEADLINE_S, Served
from tests.conformance.test_hostile_grpc import FEW, GROWTH_BYTES, MANY, assert_healthy
from tests.support.serving_toys import CLIP, clips

AT_ONCE = 8
# Statuses that a request may get, from the API or from HTTP itself.
STATUSES = frozenset({200, 400, 404, 405, 408, 411, 413, 414, 415, 431, 501, 505})

SOUND = clips(1, seed=1)[0].round(4).tolist()
PREDICT = "/v1/models/genreflow:predict"
PATHS = (
    "/v1/models/genreflow",
    "/v1/models/genreflow/metadata",
    "/v1/models/genreflow/versions/1",
    "/v1/models/genreflow/labels/stable/metadata",
    "/v1/models/genreflow/versions/2:predict",
    "/v1/models/genreflow/labels/canary:predict",
    "/v1/models/genreflow:classify",
    "/v1/models/genreflow:regress",
    PREDICT,
)
METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "NOBODY")


Request = tuple[str, str, bytes, dict[str, str]]


def valid_bodies() -> list[bytes]:
    some = base64.b64encode(b"RIFF....WAVEfmt ").decode()
    return [
        json.dumps(body).encode()
        for body in (
            {"instances": [SOUND]},
            {"instances": [{"waveform": SOUND}, {"waveform": SOUND}]},
            {"inputs": {"waveform": [SOUND]}, "signature_name": "serving_default"},
            {"signature_name": "serving_wav", "instances": [{"b64": some}]},
            {"signature_name": "serving_examples", "inputs": {"examples": [{"b64": some}]}},
            {"signature_name": "describe", "inputs": {"query": [""]}},
            {"examples": [{"x": 1.5, "y": [1, 2], "z": {"b64": some}}]},
        )
    ]


LEAVES: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, 1e308, -1e39, float("nan"), float("inf"), 1 << 70, "", "x", "é\ud800",
    "\0", [], {}, [[]], {"b64": "%%"}, {"b64": 1}, {"b64": "QUJD", "x": 1}, {"waveform": [0.5]},
)  # fmt: skip


def random_json(chance: random.Random, depth: int = 0) -> Any:
    kind = chance.random()
    if depth > 4 or kind < 0.4:
        return chance.choice(LEAVES)
    if kind < 0.55:
        return [chance.choice(LEAVES)] * chance.choice((1, 2, CLIP))
    if kind < 0.8:
        return [random_json(chance, depth + 1) for _ in range(chance.randint(0, 4))]
    names = ("waveform", "audio", "b64", "instances", "", "x" * 500)
    return {
        chance.choice(names): random_json(chance, depth + 1) for _ in range(chance.randint(0, 3))
    }


def random_body(chance: random.Random, valid: list[bytes]) -> bytes:
    kind = chance.random()
    if kind < 0.4:
        return mutated(chance.choice(valid), chance, valid)
    if kind < 0.5:
        return chance.choice(valid)
    if kind < 0.55:
        return chance.randbytes(chance.randint(0, 300))
    document = {
        chance.choice(("instances", "inputs", "examples", "nobody")): random_json(chance)
        for _ in range(chance.randint(0, 2))
    }
    if chance.random() < 0.5:
        document["signature_name"] = chance.choice(
            ("serving_default", "serving_wav", "serving_examples", "describe", "nobody", 7, None)
        )
    return json.dumps(document).encode()


def random_path(chance: random.Random) -> str:
    kind = chance.random()
    if kind < 0.5:
        return PREDICT
    if kind < 0.8:
        return chance.choice(PATHS)
    path = list(chance.choice(PATHS))
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(1, len(path) + 1)
        piece = chance.choice(
            ("%", "%2f", "%00", "%ff", "..", "/", ":", "?", "#", "a" * 2000, "%E2%80%AE", "~", "v1",
             "99999999999999999999", "-1", "é", "*", ";", "&x=", "[", "\\")
        )  # fmt: skip
        path[at : at + chance.randrange(3)] = piece
    # http.client, rightly, sends no such characters.
    return "".join(path).replace(" ", "%20").encode("ascii", "ignore").decode()


def random_headers(chance: random.Random) -> dict[str, str]:
    headers = {}
    for _ in range(chance.choice((0, 0, 1, 2))):
        name, values = chance.choice(
            (
                ("Content-Type", ("text/plain", "application/x-protobuf", "", "é", ";;;")),
                ("Content-Encoding", ("gzip", "br", "nonsense")),
                ("Accept", ("text/html", "*/*;q=nonsense", "")),
                ("Expect", ("100-continue", "nonsense")),
                ("Host", ("", "nobody:99999", "[::1", "a" * 300)),
                ("X-Api-Key", ("nobody asked for one",)),
                ("X-Forwarded-For", ("nonsense",)),
                ("Range", ("bytes=0-0",)),
                ("Cookie", ("a" * 4000,)),
                ("Upgrade", ("websocket", "h2c")),
            )
        )
        headers[name] = chance.choice(values)
    return headers


def hostile_requests(count: int, seed: int) -> list[Request]:
    chance = random.Random(seed)
    valid = valid_bodies()
    requests = []
    for _ in range(count):
        method = "POST" if chance.random() < 0.8 else chance.choice(METHODS)
        body = b"" if method in ("GET", "HEAD") else random_body(chance, valid)
        headers = random_headers(chance)
        if headers.get("Content-Encoding") == "gzip" and chance.random() < 0.8:
            body = gzip.compress(body)
            body = body if chance.random() < 0.5 else mutated(body, chance, [body])
        requests.append((method, random_path(chance), body, headers))
    return requests


def ask(served: Served, request: Request) -> tuple[int, bytes, str]:
    """Send a request on a new connection; return status, body and type of the body."""
    method, path, body, headers = request
    connection = http.client.HTTPConnection("127.0.0.1", served.rest_port, timeout=DEADLINE_S)
    try:
        connection.putrequest(method, path, skip_host="Host" in headers)
        for name, value in headers.items():
            connection.putheader(name, value.encode("latin-1"))
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        response = connection.getresponse()
        return response.status, response.read(), response.getheader("Content-Type", "")
    finally:
        connection.close()


def assert_well_answered(served: Served, request: Request, answer: tuple[int, bytes, str]) -> None:
    status, body, content_type = answer
    assert status in STATUSES, (status, body[:500], request)
    if request[0] == "HEAD" or (status == 200 and "json" not in content_type):
        return  # no body; or the metrics
    if "json" not in content_type:  # not HTTP, so it did not reach the API
        assert (status, len(body) < 200) == (400, True), (body[:500], request)
        assert_clear(body.decode())
        return
    document = json.loads(body)
    if status != 200:
        assert list(document) == ["error"]
        assert_clear(document["error"], str(served.root))


def assert_all_are_answered(
    served: Served, requests: list[Request]
) -> collections.Counter[tuple[str, int]]:
    given: collections.Counter[tuple[str, int]] = collections.Counter()
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as threads:
        answers = threads.map(lambda request: ask(served, request), requests)
        for request, answer in zip(requests, answers, strict=True):
            assert_well_answered(served, request, answer)
            given[request[0], answer[0]] += 1
    return given


def test_each_of_some_hostile_requests_is_answered(ours: Served, direct: Direct) -> None:
    given = assert_all_are_answered(ours, hostile_requests(FEW, seed=1))
    assert given["POST", 200] > 5
    assert given["POST", 400] > FEW / 4
    assert_healthy(ours, direct)


@pytest.mark.slow
def test_each_of_ten_thousand_hostile_requests_is_answered(ours: Served, direct: Direct) -> None:
    process = psutil.Process(ours.process.pid)
    requests = hostile_requests(MANY, seed=2)
    assert_all_are_answered(ours, requests[: MANY // 5])
    before = process.memory_info().rss
    assert_all_are_answered(ours, requests[MANY // 5 :])
    assert process.memory_info().rss - before < GROWTH_BYTES
    assert_healthy(ours, direct)


@pytest.mark.parametrize("examples", [5, pytest.param(200, marks=pytest.mark.slow)])
def test_the_api_is_as_its_own_description_says(
    ours: Served, direct: Direct, examples: int
) -> None:
    """Let schemathesis make valid and invalid requests from the OpenAPI document."""
    import hypothesis

    base = f"http://127.0.0.1:{ours.rest_port}"
    schema = schemathesis.openapi.from_url(f"{base}/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) >= 16
    for operation in operations:

        @hypothesis.settings(
            max_examples=examples, suppress_health_check=list(hypothesis.HealthCheck)
        )
        @hypothesis.given(case=operation.as_strategy())
        def ask_and_check(case: Any) -> None:
            response = case.call(base_url=base, timeout=DEADLINE_S)
            assert response.status_code in STATUSES, response.text[:500]
            if response.status_code != 200:
                # Hypothesis also tries texts that it finds in these tests.
                sent = urllib.parse.unquote(response.request.url) + str(response.request.body)
                assert_clear(response.json()["error"], str(ours.root), sent=sent)

        ask_and_check()
    assert_healthy(ours, direct)


def exchange(served: Served, sent: bytes) -> bytes:
    """Send bytes and nothing more, and return the response."""
    received = b""
    with socket.create_connection(("127.0.0.1", served.rest_port), timeout=DEADLINE_S) as link:
        with contextlib.suppress(OSError):  # it may have been closed already
            link.sendall(sent)
            link.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionError):
            while part := link.recv(65536):
                received += part
    return received


GET = b"GET /v1/models/genreflow"
POST = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\n".encode()
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n"

NO_HTTP = {
    "nothing": b"",
    "noise": random.Random(5).randbytes(4096),
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/0.9": GET + b"\r\n\r\n",
    "HTTP/9": GET + b" HTTP/9.9\r\nHost: x\r\n\r\n",
    "no host": GET + b" HTTP/1.1\r\n\r\n",
    "two hosts": GET + b" HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "a space before the colon": GET + b" HTTP/1.1\r\nHost : a\r\n\r\n",
    "a long first line": b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "a long header": POST + b"X: " + b"a" * 200_000 + b"\r\n\r\n",
    "many headers": POST + b"X: a\r\n" * 20_000 + b"\r\n",
    "a negative length": POST + b"Content-Length: -5\r\n\r\n",
    "a length of words": POST + b"Content-Length: many\r\n\r\n",
    "two lengths": POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "a huge length": POST + b"Content-Length: 1" + b"0" * 30 + b"\r\n\r\n",
    "chunks of nonsense": CHUNKED + b"\r\nzz\r\n",
    "a huge chunk": CHUNKED + b"\r\nffffffffffffffff\r\nab",
    "length and chunks": CHUNKED + b"Content-Length: 3\r\n\r\n0\r\n\r\n",
    "half a body": POST + b"Content-Length: 99\r\n\r\n{",
    "half a header": POST + b"X-Half",
    "an absolute target": b"GET http://nobody/v1 HTTP/1.1\r\nHost: x\r\n\r\n",
    "a star": b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    "no slash": b"GET v1 HTTP/1.1\r\nHost: x\r\n\r\n",
}


@pytest.mark.parametrize("name", NO_HTTP)
def test_what_is_hardly_http_ends_the_connection(ours: Served, direct: Direct, name: str) -> None:
    said = exchange(ours, NO_HTTP[name])
    if said:
        assert said.startswith(b"HTTP/1.1 "), said[:200]
        assert int(said[9:12]) in STATUSES, said[:500]
        assert b"Traceback" not in said
    assert_healthy(ours, direct)


@contextlib.contextmanager
def connections(served: Served, count: int, sent: bytes) -> Iterator[None]:
    """Open connections that send some bytes and then wait."""
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            link = socket.create_connection(("127.0.0.1", served.rest_port), timeout=DEADLINE_S)
            stack.enter_context(contextlib.closing(link))
            link.sendall(sent)
        yield


@pytest.mark.parametrize(
    ("count", "sent"),
    [
        (300, b""),
        (300, b"POST /v1/models/genre"),
        (300, POST + b"X-Slow: "),
        (100, POST + b"Content-Length: 99\r\n\r\n{"),
    ],
    ids=["silent", "half a line", "half a header", "half a body"],
)
def test_clients_that_do_not_finish_keep_nobody_else_waiting(
    ours: Served, direct: Direct, count: int, sent: bytes
) -> None:
    body = json.dumps({"instances": [SOUND]}).encode()
    with connections(ours, count, sent):
        for _ in range(5):
            status, answer, _ = ask(ours, ("POST", PREDICT, body, {}))
            assert status == 200, answer[:300]
            status, _, _ = ask(ours, ("GET", "/v1/models/genreflow", b"", {}))
            assert status == 200
        assert_healthy(ours, direct)
