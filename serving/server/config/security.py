"""Access to a server: an API key, and TLS for both protocols."""

from __future__ import annotations

import dataclasses
import hmac
import pathlib
import ssl

from serving.protocol.names import API_KEY_HEADER, API_KEY_VARIABLE
from serving.server.config.options import OptionError

MIN_KEY_CHARACTERS, MAX_KEY_CHARACTERS = 8, 4096


class ApiKey:
    """Key that clients must send. It appears in no `repr`, message or log."""

    def __init__(self, key: str) -> None:
        self._key = key.encode()

    def __repr__(self) -> str:
        return "ApiKey(...)"

    def refusal(self, sent: str | bytes | None) -> str | None:
        """Return why a client is refused, or None if it sent the right key.

        The comparison takes the same time whatever was sent.
        """
        if sent is None:
            return f"no API key: send it as {API_KEY_HEADER}"
        given = sent.encode("utf-8", "surrogateescape") if isinstance(sent, str) else sent
        return None if hmac.compare_digest(given, self._key) else "wrong API key"


def read_api_key(file: str, environment_value: str | None) -> ApiKey | None:
    """Return the key from a file, else from the environment, else None.

    Args:
      file: path of a file whose only line is the key; "" for no file.
      environment_value: value of GENREFLOW_API_KEY, or None if it is not set.

    Raises:
      OptionError: the file cannot be read, or the key is too short, too long, or has characters
        that an HTTP header cannot carry.
    """
    if file:
        source = f"--api-key-file {file}"
        try:
            text = _read_limited(file)
        except OSError as error:
            raise OptionError(f"{source}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise OptionError(f"{source}: not a text file") from error
    elif environment_value is not None:
        source, text = API_KEY_VARIABLE, environment_value
    else:
        return None
    key = text.strip()
    if not MIN_KEY_CHARACTERS <= len(key) <= MAX_KEY_CHARACTERS:
        raise OptionError(
            f"{source}: the key has {len(key)} characters; it needs {MIN_KEY_CHARACTERS} to "
            f"{MAX_KEY_CHARACTERS}; `openssl rand -hex 32` makes one"
        )
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise OptionError(f"{source}: a key is one line of ASCII characters without spaces")
    return ApiKey(key)


@dataclasses.dataclass(frozen=True)
class ServerTls:
    """Certificates and key of an encrypted server: PEM files, read and checked.

    Attributes:
      cert_path, cert: the server's certificate, its path and content.
      key_path, key: the certificate's private key, its path and content.
      client_ca_path, client_ca: the authority that must have signed clients' certificates;
        "" and None if clients need no certificate.
    """

    cert_path: str
    key_path: str
    cert: bytes
    key: bytes = dataclasses.field(repr=False)
    client_ca_path: str = ""
    client_ca: bytes | None = None


def read_tls(cert: str, key: str, client_ca: str) -> ServerTls | None:
    """Read the files of --tls-cert, --tls-key and --tls-client-ca; return None without files.

    Raises:
      OptionError: a file cannot be read, is not PEM, or key and certificate do not match.
    """
    if not cert:
        return None
    cert_bytes, key_bytes = _read_pem("--tls-cert", cert), _read_pem("--tls-key", key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # With a password, even an empty one, OpenSSL does not prompt at the terminal.
        context.load_cert_chain(cert, key, password="")
    except ssl.SSLError as error:
        raise OptionError(
            f"--tls-cert {cert}, --tls-key {key}: these are not a PEM certificate and its own "
            f"key without a password ({error.reason or 'no PEM'})"
        ) from error
    if not client_ca:
        return ServerTls(cert, key, cert_bytes, key_bytes)
    ca_bytes = _read_pem("--tls-client-ca", client_ca)
    try:
        context.load_verify_locations(client_ca)
    except ssl.SSLError as error:
        raise OptionError(f"--tls-client-ca {client_ca}: not a PEM certificate") from error
    return ServerTls(cert, key, cert_bytes, key_bytes, client_ca, ca_bytes)


def _read_pem(option: str, path: str) -> bytes:
    try:
        return pathlib.Path(path).read_bytes()
    except OSError as error:
        raise OptionError(f"{option} {path}: {error.strerror}") from error


def _read_limited(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read(MAX_KEY_CHARACTERS + 100)
