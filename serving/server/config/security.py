"""Who may ask: an API key, and TLS for both protocols."""

from __future__ import annotations

import dataclasses
import hmac
import pathlib
import ssl

from serving.server.config.options import OptionError

KEY_VARIABLE = "GENREFLOW_API_KEY"
# A gRPC metadata key; HTTP headers are the same word, in any case.
KEY_HEADER = "x-api-key"
SHORTEST_KEY, MAX_KEY = 8, 4096


class ApiKey:
    """The key that clients must send. Never shown: not in `repr`, messages or logs."""

    def __init__(self, key: str) -> None:
        self._key = key.encode()

    def __repr__(self) -> str:
        return "ApiKey(...)"

    def complaint(self, sent: str | bytes | None) -> str | None:
        """Why what was sent does not do; None if it is the key. The time that it takes tells
        nothing about the key."""
        if sent is None:
            return f"no API key: send it as {KEY_HEADER}"
        given = sent.encode("utf-8", "surrogateescape") if isinstance(sent, str) else sent
        return None if hmac.compare_digest(given, self._key) else "wrong API key"


def read_api_key(file: str, environment_value: str | None) -> ApiKey | None:
    """The key from a file (its first and only line), else from the environment, else None.

    Raises:
      OptionError: the file cannot be read, or the key is too short, too long, or not one
        that an HTTP header can carry.
    """
    if file:
        where = f"--api-key-file {file}"
        try:
            text = _read_limited(file)
        except OSError as error:
            raise OptionError(f"{where}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise OptionError(f"{where}: not text") from error
    elif environment_value is not None:
        where, text = KEY_VARIABLE, environment_value
    else:
        return None
    key = text.strip()
    if not SHORTEST_KEY <= len(key) <= MAX_KEY:
        raise OptionError(
            f"{where}: a key of {len(key)} characters; it needs {SHORTEST_KEY} to {MAX_KEY}, "
            "such as `openssl rand -hex 32` prints"
        )
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise OptionError(f"{where}: a key is one line of ASCII characters without spaces")
    return ApiKey(key)


@dataclasses.dataclass(frozen=True)
class Tls:
    """PEM files, read and checked. `client_ca_*` are set where clients need a certificate."""

    cert_path: str
    key_path: str
    cert: bytes
    key: bytes = dataclasses.field(repr=False)
    client_ca_path: str = ""
    client_ca: bytes | None = None


def read_tls(cert: str, key: str, client_ca: str) -> Tls | None:
    """The files of --tls-cert, --tls-key and --tls-client-ca; None where none are named.

    Raises:
      OptionError: one cannot be read, is not PEM, or key and certificate do not match.
    """
    if not cert:
        return None
    cert_bytes, key_bytes = _read_pem("--tls-cert", cert), _read_pem("--tls-key", key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # An empty password, or OpenSSL would ask for one at the terminal.
        context.load_cert_chain(cert, key, password="")
    except ssl.SSLError as error:
        raise OptionError(
            f"--tls-cert {cert}, --tls-key {key}: not a PEM certificate and its own key, "
            f"without a password ({error.reason or 'no PEM'})"
        ) from error
    if not client_ca:
        return Tls(cert, key, cert_bytes, key_bytes)
    ca_bytes = _read_pem("--tls-client-ca", client_ca)
    try:
        context.load_verify_locations(client_ca)
    except ssl.SSLError as error:
        raise OptionError(f"--tls-client-ca {client_ca}: no PEM certificate") from error
    return Tls(cert, key, cert_bytes, key_bytes, client_ca, ca_bytes)


def _read_pem(option: str, path: str) -> bytes:
    try:
        return pathlib.Path(path).read_bytes()
    except OSError as error:
        raise OptionError(f"{option} {path}: {error.strerror}") from error


def _read_limited(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read(MAX_KEY + 100)
