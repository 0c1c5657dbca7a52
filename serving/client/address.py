"""Address of a server, parsed from text."""

from __future__ import annotations

import dataclasses
import ipaddress
import urllib.parse

from serving.client.errors import SettingsError

_FORMS = "give HOST:PORT (gRPC, such as 127.0.0.1:8500) or http://HOST:PORT (REST)"


@dataclasses.dataclass(frozen=True)
class Address:
    """Address of a server.

    Attributes:
      host: a name, or an IP address without brackets.
      port: the port.
      rest: whether the server speaks REST (JSON over HTTP) there; otherwise gRPC.
      tls: whether the connection is encrypted.
    """

    host: str
    port: int
    rest: bool = False
    tls: bool = False

    @property
    def authority(self) -> str:
        """Return host:port, with an IPv6 address in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def shown(self) -> str:
        """Return the address for messages."""
        return f"http{'s' * self.tls}://{self.authority}" if self.rest else self.authority

    @property
    def is_loopback(self) -> bool:
        """Return whether requests stay on this machine."""
        if self.host == "localhost" or self.host.endswith(".localhost"):
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse_address(server: str, *, rest: bool = False, tls: bool = False) -> Address:
    """Parse HOST:PORT, http://HOST[:PORT] or https://HOST[:PORT].

    Args:
      server: the text.
      rest: whether HOST:PORT is a port for REST; http:// and https:// always are.
      tls: whether to encrypt; https:// always does.

    Raises:
      SettingsError: the text has none of these forms.
    """
    if not server.isprintable():  # urlsplit would ignore line breaks
        raise SettingsError(f"{server!r}: not an address; {_FORMS}")
    scheme, separator, remainder = server.partition("://")
    if separator and scheme not in ("http", "https"):
        raise SettingsError(f"{server!r}: {scheme}:// is not supported; {_FORMS}")
    if scheme == "http" and separator and tls:
        raise SettingsError(f"{server!r}: http:// is not encrypted; use https:// for TLS")
    try:
        parts = urllib.parse.urlsplit(f"//{remainder if separator else server}")
        host = parts.hostname
    except ValueError as error:
        raise SettingsError(f"{server!r}: not an address; {_FORMS}") from error
    try:
        port = parts.port
    except ValueError as error:
        raise SettingsError(
            f"{server!r}: its port is no whole number from 1 to 65535; {_FORMS}"
        ) from error
    if parts.username is not None or parts.password is not None:
        raise SettingsError(
            "the server's address contains a user or password; use an API key instead"
        )
    if host and parts.path.strip("/"):
        raise SettingsError(f"{server!r}: an address ends with its port and has no path; {_FORMS}")
    if not host or parts.query or parts.fragment or not _is_host(host):
        raise SettingsError(f"{server!r}: not an address; {_FORMS}")
    if port is None and separator:
        port = 443 if scheme == "https" else 80
    if not port:
        raise SettingsError(f"{server!r}: no port; {_FORMS}")
    return Address(
        host, port, rest or bool(separator), tls or (bool(separator) and scheme[4:] == "s")
    )


def _is_host(host: str) -> bool:
    """Return whether this is an IP address, or a name of letters, digits, dots and dashes."""
    if ":" in host:
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return False
        return True
    return all(part and part.replace("-", "").replace("_", "").isalnum()
               for part in host.rstrip(".").split("."))  # fmt: skip
