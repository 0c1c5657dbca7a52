"""Why a server cannot be reached: what really answers at its port.

gRPC and HTTP libraries say "unavailable" for a port that is closed, one that speaks another
protocol and a certificate that is not trusted alike. So it is looked at, once, after the
attempts have failed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import ssl
from typing import Literal

from serving.client.address import Address
from serving.client.errors import (
    ServerError,
    SettingsError,
    TlsError,
    UnreachableError,
    WrongProtocolError,
)
from serving.client.transport import Tls

PROBE_SECONDS = 2.0
# What an HTTP/2 client says first (RFC 9113, 3.4), with an empty SETTINGS frame.
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
_SETTINGS_TYPE = 4
_GET = b"GET / HTTP/1.0\r\n\r\n"
# How a TLS alert and a handshake begin (RFC 8446, 5.1).
_TLS_RECORDS = (b"\x15\x03", b"\x16\x03")

_START = "start it (genreflow serve --model-dir ...), or correct --server"


@dataclasses.dataclass(frozen=True)
class Found:
    """What is at the port, with the system's words where it is nothing."""

    speaks: Literal["nothing", "http", "http2", "tls", "unknown"]
    detail: str = ""


def probe(address: Address) -> Found:
    """Connects and looks at what comes back; takes a few seconds at most."""
    try:
        start = _first_bytes(address, _PREFACE)
    except OSError as error:
        return Found("nothing", error.strerror or str(error) or type(error).__name__)
    if start.startswith(b"HTTP/"):
        return Found("http")
    if len(start) >= 4 and start[3] == _SETTINGS_TYPE:
        return Found("http2")
    if start.startswith(_TLS_RECORDS):
        return Found("tls")
    with contextlib.suppress(OSError):  # some web servers know no HTTP/2 at all
        if _first_bytes(address, _GET).startswith(b"HTTP/"):
            return Found("http")
    if _shakes_hands(address):
        return Found("tls")
    return Found("unknown")


def unreachable(address: Address, tls: Tls | None, said: str) -> ServerError | None:
    """The error for a server that could not be asked.

    Args:
      address: where it should be.
      tls: how it was asked.
      said: the library's words.

    Returns:
      None where the right protocol answers there: it is the server's own "unavailable".
    """
    found, where = probe(address), address.shown
    if found.speaks == "nothing":
        return UnreachableError(f"{where}: nothing answers there ({found.detail}); {_START}")
    if address.tls:
        if found.speaks != "tls":
            return TlsError(f"{where}: the server does not use TLS; ask without it")
        why = _refusal(address, tls or Tls())
        return TlsError(f"{where}: {why}") if why else None
    if found.speaks == "tls":
        return TlsError(f"{where}: the server uses TLS; add --tls (or https:// for REST)")
    if not address.rest and found.speaks == "http":
        return WrongProtocolError(
            f"{where}: this port speaks HTTP, which is REST; for gRPC give the server's other "
            f"port (8500 where nothing else was chosen), or --server http://{address.authority}"
        )
    if address.rest and found.speaks == "http2":
        return WrongProtocolError(
            f"{where}: this port speaks gRPC; for REST give the server's other port (8501 where "
            f"nothing else was chosen), or --server {address.authority} without --rest"
        )
    if found.speaks == "unknown":
        words = f" ({said})" if said else ""
        return WrongProtocolError(
            f"{where}: what answers there is no model server{words}; {_START}"
        )
    return None


def _first_bytes(address: Address, said: bytes) -> bytes:
    with socket.create_connection((address.host, address.port), PROBE_SECONDS) as connection:
        connection.settimeout(PROBE_SECONDS)
        with contextlib.suppress(OSError):  # closed, reset or silent: then there is no answer
            connection.sendall(said)
            return connection.recv(64)
    return b""


def _shakes_hands(address: Address) -> bool:
    """Whether a TLS handshake gets an answer of TLS; trusts nobody, and sends nothing else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        contextlib.suppress(OSError),  # ssl.SSLError is one
        socket.create_connection((address.host, address.port), PROBE_SECONDS) as connection,
        context.wrap_socket(connection),
    ):
        return True
    return False


def _refusal(address: Address, tls: Tls) -> str | None:
    """Why one side does not accept the other's certificate; None where both do."""
    try:
        context = ssl.create_default_context(cafile=tls.ca_cert)
        if tls.client_cert is not None and tls.client_key is not None:
            context.load_cert_chain(tls.client_cert, tls.client_key)
    except OSError as error:
        raise SettingsError(f"a file of TLS cannot be used: {error}") from error
    context.set_alpn_protocols(["http/1.1" if address.rest else "h2"])
    given = "another" if tls.client_cert is not None else "a"
    wants = f"it may want {given} client certificate (--client-cert, --client-key)"
    try:
        with (
            socket.create_connection((address.host, address.port), PROBE_SECONDS) as connection,
            context.wrap_socket(connection, server_hostname=address.host) as secure,
        ):
            secure.sendall(_GET if address.rest else _PREFACE)
            if not secure.recv(64):  # with TLS 1.3 a client's certificate is refused only now
                return f"the server closes the connection; {wants}"
    except ssl.SSLCertVerificationError as error:
        return (
            f"the server's certificate is not trusted ({error.verify_message}); give the "
            "authority that signed it with --ca-cert, and the host by the name that it has there"
        )
    except ssl.SSLError as error:
        return f"the server breaks TLS off ({error.reason or error}); {wants}"
    except OSError:
        return None
    return None
