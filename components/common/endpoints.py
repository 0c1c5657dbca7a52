"""Servers at HOST:PORT: whether one listens, within a limit that gRPC's waiting has not."""

from __future__ import annotations

import socket
import time

_RETRY_SECONDS = 0.5


def unreachable(endpoint: str, seconds: float) -> str:
    """Return why nothing answers at an address, or "" once something accepts a connection.

    Args:
      endpoint: HOST:PORT; an IPv6 address is in brackets.
      seconds: limit of the wait; a server may only be starting.
    """
    host, _, port = endpoint.rpartition(":")
    deadline = time.monotonic() + seconds
    while True:
        try:
            left = max(0.1, deadline - time.monotonic())
            with socket.create_connection((host.strip("[]"), int(port)), left):
                return ""
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
        if time.monotonic() + _RETRY_SECONDS >= deadline:
            return reason.lower()
        time.sleep(_RETRY_SECONDS)
