"""Bodies of REST requests: plain or gzip, limited in size, time and memory.

As TensorFlow Serving, the server inflates bodies whose Content-Encoding is gzip
(tensorflow_serving/util/net_http/server/internal/evhttp_request.cc, and compression/gzip_zlib.cc:
one gzip member, nothing after it, 100 MiB inflated). TensorFlow Serving inflates a body if the
header contains "gzip" anywhere, reads bodies of any other coding as they are, and goes on with an
empty body if one cannot be inflated. This server rejects the last two with a reason.
"""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections.abc import Callable, Iterator

from fastapi import Request

from serving.server.errors import unavailable

# Time for a body to arrive.
BODY_TIMEOUT_S = 60.0
# Bytes that are inflated before other requests get their turn; some milliseconds.
_INFLATE_STEP_BYTES = 1 << 20
_GZIP = ("gzip", "x-gzip")


class BodyError(Exception):
    """Body that the server does not read to its end.

    Attributes:
      status: the HTTP status.
      headers: of the response.
    """

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        """Initialize the error."""
        super().__init__(message)
        self.status = status
        self.headers = headers or {}


class BodyMemory:
    """Memory for the bodies of all requests that are arriving or in progress.

    It is used by one event loop only.
    """

    def __init__(self, max_bytes: int) -> None:
        """Reserve nothing yet of `max_bytes`."""
        self._left = max_bytes

    @contextlib.contextmanager
    def hold(self) -> Iterator[Callable[[int], None]]:
        """Yield a function that reserves bytes until the end of the context.

        The function raises ServingError UNAVAILABLE if too few are left.
        """
        held = 0

        def take(size: int) -> None:
            nonlocal held
            if size > self._left:
                raise unavailable("other requests use all memory for bodies; retry later")
            self._left -= size
            held += size

        try:
            yield take
        finally:
            self._left += held


async def read_body(request: Request, max_bytes: int, take: Callable[[int], None]) -> bytes:
    """Return the body, inflated if it is gzip.

    Args:
      request: the request.
      max_bytes: the largest body allowed, as sent and inflated.
      take: called with the size of each part before it is kept.

    Raises:
      BodyError: the body is too large, arrives too slowly, or cannot be inflated.
      ClientDisconnect: the client closed the connection.
    """
    inflater = _Inflater() if _is_gzip(request) else None
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > max_bytes:
        raise _too_large(max_bytes)

    async def read() -> bytes:
        body, sent = bytearray(), 0
        async for chunk in request.stream():
            sent += len(chunk)
            for part in inflater.parts(chunk) if inflater else (chunk,):
                if max(sent, len(body) + len(part)) > max_bytes:
                    raise _too_large(max_bytes)
                take(len(part))
                body += part
                if inflater:
                    await asyncio.sleep(0)
        if inflater and sent:
            inflater.end()
        return bytes(body)

    try:
        return await asyncio.wait_for(read(), BODY_TIMEOUT_S)
    except (asyncio.TimeoutError, TimeoutError) as error:
        message = f"the body did not arrive within {BODY_TIMEOUT_S:g} seconds"
        raise BodyError(408, message) from error


def _is_gzip(request: Request) -> bool:
    """Return whether the body is gzip; raise BodyError for another content coding."""
    named = ",".join(request.headers.getlist("content-encoding")).lower().split(",")
    codings = [coding.strip() for coding in named if coding.strip() not in ("", "identity")]
    if codings and (len(codings) > 1 or codings[0] not in _GZIP):
        raise BodyError(
            415,
            f"Content-Encoding: {', '.join(codings)} is not supported; send the body plain or gzip",
            {"Accept-Encoding": "gzip"},  # RFC 7694
        )
    return bool(codings)


def _too_large(max_bytes: int) -> BodyError:
    return BodyError(413, f"the body is larger than {max_bytes} bytes, the maximum")


class _Inflater:
    """Decoder of one gzip member that arrives in chunks."""

    def __init__(self) -> None:
        self._gzip = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)

    def parts(self, chunk: bytes) -> Iterator[bytes]:
        """Yield what a chunk inflates to, in parts of at most _INFLATE_STEP_BYTES."""
        while chunk:
            try:
                part = self._gzip.decompress(chunk, _INFLATE_STEP_BYTES)
            except zlib.error as error:
                raise self._damaged() from error
            chunk = self._gzip.unconsumed_tail
            if self._gzip.unused_data:
                raise self._damaged()
            yield part

    def end(self) -> None:
        """Raise BodyError unless the gzip member is complete."""
        if not self._gzip.eof:
            raise self._damaged()

    @staticmethod
    def _damaged() -> BodyError:
        return BodyError(400, "the body cannot be inflated: it is no gzip, or damaged, or cut")
