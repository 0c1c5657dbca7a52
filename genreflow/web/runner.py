"""Server of the web application: uvicorn on one socket, quiet, and ended by Ctrl-C."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING

from serving.server.listening import bind, bind_error, is_loopback, join_address

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8600
BACKLOG = 128
# Open connections; further ones are answered with 503.
MAX_CONNECTIONS = 200
# Time for requests in progress when the server is stopped.
GRACE_SECONDS = 2
_ANY = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens already, so that a browser waits while the program loads.

    Args:
      host: a name or an address of this machine; "" for all.
      port: the port; 0 for a free one.

    Raises:
      OptionError: the port is in use or not allowed, or the host is not this machine's.
    """
    listener = bind(host, port, "--port")
    try:
        listener.listen(BACKLOG)
    except OSError as error:  # another program listens there too
        listener.close()
        raise bind_error(host, port, "--port", error.strerror or str(error)) from error
    return listener


def address(host: str, listener: socket.socket) -> str:
    """Return the page's address for a browser on this machine."""
    return f"http://{join_address(_ANY.get(host, host), listener.getsockname()[1])}/"


def warnings(host: str) -> Iterator[str]:
    """Yield warnings about an address that other machines can reach."""
    if not is_loopback(host):
        yield (
            f"warning: anyone who reaches {host or '0.0.0.0'} can use this page, and what is sent "
            "is not encrypted; for yourself alone, listen on 127.0.0.1 and forward the port: "
            "ssh -L 8600:127.0.0.1:8600 HOST"
        )


def config(app: ASGIApp) -> uvicorn.Config:
    """Return uvicorn's settings."""
    from serving.server.protocols.http_protocol import server_config

    return server_config(
        app,
        max_connections=MAX_CONNECTIONS,
        backlog=BACKLOG,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


def serve(app: ASGIApp, listener: socket.socket) -> None:
    """Serve until SIGINT or SIGTERM, and return quietly.

    Args:
      app: the application.
      listener: the socket, from `listen`.
    """
    import uvicorn

    try:
        uvicorn.Server(config(app)).run(sockets=[listener])
    except KeyboardInterrupt:  # uvicorn raises its signals again at its end
        pass
    finally:
        listener.close()
