"""Where a server is, from what a user types."""

from __future__ import annotations

import dataclasses
import ipaddress
import urllib.parse

from serving.client.errors import SettingsError

_FORMS = "give HOST:PORT (gRPC, such as 127.0.0.1:8500) or http://HOST:PORT (REST)"


@dataclasses.dataclass(frozen=True)
class Address:
    """A server. `host` without brackets; `rest`: HTTP and JSON, else gRPC."""

    host: str
    port: int
    rest: bool = False
    tls: bool = False

    @property
    def authority(self) -> str:
        """host:port, IPv6 in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def shown(self) -> str:
        """As messages name it."""
        return f"http{'s' * self.tls}://{self.authority}" if self.rest else self.authority

    @property
    def is_loopback(self) -> bool:
        """Whether what is sent stays on this machine."""
        if self.host == "localhost" or self.host.endswith(".localhost"):
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse(server: str, *, rest: bool = False, tls: bool = False) -> Address:
    """The address of HOST:PORT, http://HOST[:PORT] or https://HOST[:PORT].

    Args:
      server: what was typed.
      rest: HOST:PORT is that of REST.
      tls: encrypted; https:// says so itself.

    Raises:
      SettingsError: it is none of these.
    """
    if not server.isprintable():  # urlsplit would pass over line breaks
        raise SettingsError(f"{server!r}: not an address; {_FORMS}")
    scheme, separator, rest_of_it = server.partition("://")
    if separator and scheme not in ("http", "https"):
        raise SettingsError(f"{server!r}: {scheme}:// is not known; {_FORMS}")
    if scheme == "http" and separator and tls:
        raise SettingsError(f"{server!r}: http:// is not encrypted; with TLS it is https://")
    try:
        parts = urllib.parse.urlsplit(f"//{rest_of_it if separator else server}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise SettingsError(f"{server!r}: {error}; {_FORMS}") from error
    if parts.username is not None or parts.password is not None:
        raise SettingsError("the server's address holds a user or password; use an API key")
    if host and parts.path.strip("/"):
        raise SettingsError(f"{server!r}: an address ends with the port, no path; {_FORMS}")
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
    """An IP address (IPv6 may name its zone), or a name of letters, digits, dots and dashes."""
    if ":" in host:
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return False
        return True
    return all(part and part.replace("-", "").replace("_", "").isalnum()
               for part in host.rstrip(".").split("."))  # fmt: skip
