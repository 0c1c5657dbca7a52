"""Addresses that a server listens on."""

from __future__ import annotations

import errno
import ipaddress
import socket

from serving.server.config.options import NO_REST, OptionError, ServeOptions


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def join_address(host: str, port: int) -> str:
    """Return host:port, with an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def bind(host: str, port: int, option: str) -> socket.socket:
    """Return a socket that is bound to the address and does not listen yet.

    Args:
      host: a name or an address of this machine; "" for all addresses.
      port: the port; 0 for a free one.
      option: the option that gave the port, for messages.

    Raises:
      OptionError: the port is taken or not allowed, or the host is not this machine's.
    """
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(where)
        except OSError:
            bound.close()
            raise
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        if _is_about_host(error):
            raise OptionError(
                f"--host {host}: cannot listen there ({reason}); give an address of this "
                "machine, or 0.0.0.0 for all"
            ) from error
        raise bind_error(host, port, option, reason) from error
    return bound


def check_ports(options: ServeOptions) -> None:
    """Check that the ports are free, before models are loaded, which takes long.

    Raises:
      OptionError: as `bind` raises it.
    """
    bind(options.host, options.port, "--port").close()
    if options.rest_port != NO_REST:
        bind(options.host, options.rest_port, "--rest-port").close()


def bind_error(host: str, port: int, option: str, reason: str) -> OptionError:
    """Return the error for a port that cannot be listened on."""
    return OptionError(
        f"{option} {port}: cannot listen on {join_address(host, port)} ({reason}); choose "
        "another port, or 0 for a free one"
    )


def _is_about_host(error: Exception) -> bool:
    """Return whether the error would be the same on every port."""
    unknown = isinstance(error, socket.gaierror | UnicodeError)
    return unknown or getattr(error, "errno", None) == errno.EADDRNOTAVAIL
