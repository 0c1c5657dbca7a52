"""Tests of bodies in gzip: what is inflated, what is refused, and how much may come out."""

from __future__ import annotations

import asyncio
import gzip
import json
import pathlib
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import pytest
import requests
from fastapi import Request

from serving.server.protocols import request_body
from serving.server.protocols.request_body import BodyError, BodyMemory, read_body
from tests.support.serving_server import DEADLINE_S, RunningServer
from tests.support.serving_toys import clips

MAX_BYTES = 4 << 20
PATH = "/v1/models/genreflow:predict"


def read(body: bytes, *codings: str, max_bytes: int = MAX_BYTES, chunk_bytes: int = 1000) -> bytes:
    """Return a body as the server reads it, in chunks."""
    chunks = [body[at : at + chunk_bytes] for at in range(0, len(body), chunk_bytes)] or [b""]

    async def receive() -> dict[str, Any]:
        chunk = chunks.pop(0)
        return {"type": "http.request", "body": chunk, "more_body": bool(chunks)}

    headers = [(b"content-encoding", coding.encode()) for coding in codings]
    scope = {"type": "http", "method": "POST", "path": "/", "headers": headers}
    with BodyMemory(max_bytes).hold() as take:
        return asyncio.run(read_body(Request(scope, receive), max_bytes, take))


def refused(*arguments: Any, **options: Any) -> tuple[int, str]:
    with pytest.raises(BodyError) as caught:
        read(*arguments, **options)
    return caught.value.status, str(caught.value)


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "x-gzip", " gzip ", "identity, gzip"])
@pytest.mark.parametrize("chunk_bytes", [1, 7, 1 << 16])
def test_a_gzip_body_is_inflated(coding: str, chunk_bytes: int) -> None:
    body = json.dumps(list(range(2000))).encode()
    packed = gzip.compress(body)
    assert read(packed, coding, chunk_bytes=chunk_bytes) == body


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, MAX_BYTES])
def test_every_byte_comes_out_up_to_the_limit(size: int) -> None:
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    assert read(gzip.compress(body), "gzip", chunk_bytes=1 << 16) == body


@pytest.mark.parametrize("codings", [(), ("",), ("identity",), ("identity, ", "")])
def test_a_body_without_a_coding_is_read_as_it_is(codings: tuple[str, ...]) -> None:
    packed = gzip.compress(b"[]")
    assert read(packed, *codings) == packed


def test_an_empty_body_is_empty_in_any_coding() -> None:
    assert read(b"", "gzip") == b""


PACKED = gzip.compress(b"[1, 2, 3]" * 100, mtime=0)


@pytest.mark.parametrize(
    "body",
    [
        b"[]", b"\x1f", PACKED[:9], PACKED[:20], PACKED[:-1], PACKED + b"\0", PACKED + PACKED,
        PACKED[:-8] + b"\0" * 8, PACKED[:15] + b"\xff\xff" + PACKED[17:], zlib.compress(b"[]"),
        zlib.compress(b"[]")[2:-4],
    ],
    ids=[
        "plain", "a byte", "half a header", "half", "cut", "more", "two", "wrong check", "damaged",
        "zlib", "deflate",
    ],
)  # fmt: skip
@pytest.mark.parametrize("chunk_bytes", [1, 1 << 16])
def test_a_body_that_is_not_one_whole_gzip_is_refused(body: bytes, chunk_bytes: int) -> None:
    status, message = refused(body, "gzip", chunk_bytes=chunk_bytes)
    assert (status, "cannot be inflated" in message) == (400, True)


@pytest.mark.parametrize("chunk_bytes", [1000, 1 << 20])
def test_a_bomb_is_refused_before_it_takes_memory(chunk_bytes: int) -> None:
    bomb = gzip.compress(bytes(1 << 28))
    assert len(bomb) < 1 << 19
    tracemalloc.start()
    status, message = refused(bomb, "gzip", chunk_bytes=chunk_bytes)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (status, str(MAX_BYTES) in message) == (413, True)
    assert peak < 3 * MAX_BYTES


def test_what_inflates_to_nothing_has_a_limit_too() -> None:
    header, empty_block = gzip.compress(b"")[:10], b"\0\0\0\xff\xff"
    endless = header + empty_block * 10_000
    assert refused(endless, "gzip", max_bytes=1000)[0] == 413


def test_inflated_bytes_are_taken_from_the_memory_of_all_bodies() -> None:
    taken: list[int] = []
    body = bytes(3 << 20)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": gzip.compress(body), "more_body": False}

    scope = {"type": "http", "method": "POST", "headers": [(b"content-encoding", b"gzip")]}
    asyncio.run(read_body(Request(scope, receive), MAX_BYTES, taken.append))
    assert sum(taken) == len(body)
    assert max(taken) <= request_body._INFLATE_STEP_BYTES


@pytest.mark.parametrize(
    "coding", ["br", "deflate", "compress", "zstd", "nonsense", "gzip, gzip", "gzip, br", "my_gzip"]
)
def test_another_coding_is_not_read(coding: str) -> None:
    status, message = refused(b"[]", coding)
    assert status == 415
    assert f"Content-Encoding: {coding} is not supported" in message


def test_the_server_answers_plain_and_gzip_alike(server: RunningServer) -> None:
    body = json.dumps({"instances": clips(2).tolist()}).encode()
    sent: Callable[..., requests.Response] = lambda data, **headers: requests.post(  # noqa: E731
        server.url + PATH, data, headers=headers, timeout=DEADLINE_S
    )
    plain = sent(body)
    packed = sent(gzip.compress(body), **{"content-encoding": "gzip"})
    assert plain.status_code == packed.status_code == 200
    assert packed.json() == plain.json()
    assert "content-encoding" not in sent(body, **{"accept-encoding": "gzip"}).headers
    other = sent(body, **{"content-encoding": "br"})
    assert (other.status_code, other.headers["accept-encoding"]) == (415, "gzip")
    assert "send the body plain or gzip" in other.json()["error"]
    assert sent(body, **{"content-encoding": "gzip"}).status_code == 400


def test_a_bomb_at_the_server_is_413(
    servers: Callable[..., RunningServer], toy_models: pathlib.Path
) -> None:
    small = servers(toy_models, max_message_mb=1)
    headers = {"content-encoding": "gzip"}
    bomb = gzip.compress(bytes(1 << 28))
    answer = requests.post(small.url + PATH, bomb, headers=headers, timeout=DEADLINE_S)
    assert answer.status_code == 413
    assert requests.get(small.url + "/v1/models/genreflow", timeout=DEADLINE_S).status_code == 200
