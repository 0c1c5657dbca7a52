"""Settings of uvicorn, and its HTTP protocol with a time limit for the head of a request.

uvicorn closes connections that are idle after a response. But it waits without limit for the
first request, and for the rest of a request's head. A few hundred such clients would use up all
connections.
"""

from __future__ import annotations

import asyncio
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

# Time from the connection, or from the first byte of a later request, to the end of its headers.
HEAD_TIMEOUT_S = 20.0


def server_config(
    app: ASGIApp, *, max_connections: int, backlog: int, **others: Any
) -> uvicorn.Config:
    """Return uvicorn's settings for an HTTP server that is silent and trusts no client.

    Args:
      app: the application.
      max_connections: open connections and running requests, above which it answers 503.
      backlog: connections that wait to be accepted.
      **others: further settings of uvicorn.
    """
    return uvicorn.Config(
        app,
        http=TimedHttp,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=max_connections,
        backlog=backlog,
        **others,
    )


class TimedHttp(H11Protocol):
    """Protocol that closes a connection if a request's head takes more than HEAD_TIMEOUT_S."""

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timer."""
        super().connection_made(transport)
        self._start_timer()

    def data_received(self, data: bytes) -> None:
        """Stop the timer at the end of a head, and start it with the first part of the next."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop_timer()
        elif self._head_timer is None:
            self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer."""
        self._stop_timer()
        super().connection_lost(exc)

    def _start_timer(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self._time_out)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _time_out(self) -> None:
        self._head_timer = None
        self.transport.close()
