"""Diagnosis of a server that cannot be reached: what responds at its port.

gRPC and HTTP libraries report a closed port, another protocol and an untrusted certificate alike
as "unavailable". So after all attempts have failed, the port is probed once.
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
# First bytes from an HTTP/2 client (RFC 9113, 3.4), with an empty SETTINGS frame.
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
_SETTINGS_TYPE = 4
_GET = b"GET / HTTP/1.0\r\n\r\n"
# First bytes of a TLS alert and of a handshake (RFC 8446, 5.1).
_TLS_RECORDS = (b"\x15\x03", b"\x16\x03")

_REMEDY = "start the server (genreflow serve --model-dir ...), or correct --server"


@dataclasses.dataclass(frozen=True)
class ProbeResult:
    """Result of a probe.

    Attributes:
      protocol: the protocol that is spoken at the port; "nothing" if no connection was made.
      detail: the system's message if no connection was made.
    """

    protocol: Literal["nothing", "http", "http2", "tls", "unknown"]
    detail: str = ""


def probe(address: Address) -> ProbeResult:
    """Connect, and find out which protocol is spoken. Takes a few seconds at most."""
    try:
        start = _first_bytes(address, _PREFACE)
    except OSError as error:
        return ProbeResult("nothing", error.strerror or str(error) or type(error).__name__)
    if start.startswith(b"HTTP/"):
        return ProbeResult("http")
    if len(start) >= 4 and start[3] == _SETTINGS_TYPE:
        return ProbeResult("http2")
    if start.startswith(_TLS_RECORDS):
        return ProbeResult("tls")
    with contextlib.suppress(OSError):  # some web servers do not know HTTP/2 at all
        if _first_bytes(address, _GET).startswith(b"HTTP/"):
            return ProbeResult("http")
    if _shakes_hands(address):
        return ProbeResult("tls")
    return ProbeResult("unknown")


def diagnose(address: Address, tls: Tls | None, detail: str) -> ServerError | None:
    """Probe a server that could not be reached, and return the error for the user.

    Args:
      address: the server.
      tls: settings of the connection, if it is encrypted.
      detail: the library's message.

    Returns:
      The error, or None if the right protocol is spoken there: then the server itself is
      unavailable.
    """
    found, where = probe(address), address.shown
    if found.protocol == "nothing":
        return UnreachableError(f"{where}: nothing responds there ({found.detail}); {_REMEDY}")
    if address.tls:
        if found.protocol != "tls":
            return TlsError(f"{where}: the server does not use TLS; remove --tls (or use http://)")
        reason = _tls_failure(address, tls or Tls())
        return TlsError(f"{where}: {reason}") if reason else None
    if found.protocol == "tls":
        return TlsError(f"{where}: the server uses TLS; add --tls (or https:// for REST)")
    if not address.rest and found.protocol == "http":
        return WrongProtocolError(
            f"{where}: this port speaks HTTP (REST); give the server's gRPC port (8500 by "
            f"default), or use REST with --server http://{address.authority}"
        )
    if address.rest and found.protocol == "http2":
        return WrongProtocolError(
            f"{where}: this port speaks gRPC; give the server's REST port (8501 by default), or "
            f"use gRPC with --server {address.authority}, without --rest"
        )
    if found.protocol == "unknown":
        quoted = f" ({detail})" if detail else ""
        return WrongProtocolError(f"{where}: this port is not a model server's{quoted}; {_REMEDY}")
    return None


def _first_bytes(address: Address, sent: bytes) -> bytes:
    with socket.create_connection((address.host, address.port), PROBE_SECONDS) as connection:
        connection.settimeout(PROBE_SECONDS)
        with contextlib.suppress(OSError):  # closed, reset or silent
            connection.sendall(sent)
            return connection.recv(64)
    return b""


def _shakes_hands(address: Address) -> bool:
    """Return whether the server completes a TLS handshake. No certificate is checked."""
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


def _tls_failure(address: Address, tls: Tls) -> str | None:
    """Return why TLS fails, such as a rejected certificate, or None if it works."""
    try:
        context = ssl.create_default_context(cafile=tls.ca_cert)
        if tls.client_cert is not None and tls.client_key is not None:
            context.load_cert_chain(tls.client_cert, tls.client_key)
    except OSError as error:
        raise SettingsError(f"a TLS file cannot be used: {error}; give PEM files") from error
    context.set_alpn_protocols(["http/1.1" if address.rest else "h2"])
    article = "another" if tls.client_cert is not None else "a"
    remedy = f"it may require {article} client certificate (--client-cert, --client-key)"
    try:
        with (
            socket.create_connection((address.host, address.port), PROBE_SECONDS) as connection,
            context.wrap_socket(connection, server_hostname=address.host) as secure,
        ):
            if _is_dropped(secure, _GET if address.rest else _PREFACE):
                return f"the server closes the connection; {remedy}"
    except ssl.SSLCertVerificationError as error:
        return (
            f"the server's certificate is not trusted ({error.verify_message}); give the "
            "certificate of its authority with --ca-cert, and the host by its name in the "
            "certificate"
        )
    except ssl.SSLError as error:
        return f"the server aborts TLS ({error.reason or error}); {remedy}"
    except OSError:
        return None
    return None


def _is_dropped(secure: ssl.SSLSocket, sent: bytes) -> bool:
    """Return whether the server ends the connection after the handshake.

    With TLS 1.3, a client certificate is rejected only then: by closing or by resetting.
    """
    try:
        secure.sendall(sent)
        return not secure.recv(64)
    except ConnectionError:
        return True
