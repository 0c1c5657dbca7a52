"""uvicorn's HTTP protocol with a time limit for the head of a request.

uvicorn closes connections that are idle after a response. But it waits without limit for the
first request, and for the rest of a request's head. A few hundred such clients would use up all
connections.
"""

from __future__ import annotations

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

# Time from the connection, or from the first byte of a later request, to the end of its headers.
HEAD_TIMEOUT_S = 20.0


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
