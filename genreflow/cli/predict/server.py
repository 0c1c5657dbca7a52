"""`genreflow predict --server`: what was typed becomes a client of a model server."""

from __future__ import annotations

import dataclasses
import os
import sys
from typing import TYPE_CHECKING

from components.common.errors import GenreflowError, UsageError
from components.common.model_contract import MODEL_NAME

if TYPE_CHECKING:
    from serving.client.client import GenreClient

KEY_VARIABLE = "GENREFLOW_API_KEY"
_MAX_KEY_BYTES = 4096


@dataclasses.dataclass(frozen=True)
class ServerOptions:
    """What was typed of a server; None and empty where it was not."""

    server: str
    rest: bool = False
    model_name: str = ""
    model_version: int | None = None
    version_label: str = ""
    timeout_s: float | None = None
    tls: bool = False
    ca_cert: str = ""
    client_cert: str = ""
    client_key: str = ""
    api_key_file: str = ""


def connect(options: ServerOptions) -> GenreClient:
    """A client of the server, which has answered already.

    Raises:
      UsageError: an option cannot be.
      GenreflowError: the server cannot be used.
    """
    from serving.client import client
    from serving.client.address import parse
    from serving.client.errors import ClientError, SettingsError
    from serving.client.transport import Tls

    files = (options.ca_cert, options.client_cert, options.client_key)
    if any(files) and not (options.tls or options.server.startswith("https://")):
        raise UsageError("--ca-cert, --client-cert and --client-key are of TLS; add --tls")
    key = _api_key(options.api_key_file)
    try:
        address = parse(options.server, rest=options.rest, tls=options.tls)
        tls = Tls(*(file or None for file in files)) if address.tls else False
        if key and not address.tls and not address.is_loopback:
            print(
                "genreflow: warning: the API key goes to "
                f"{address.shown} unencrypted; use --tls, or https://",
                file=sys.stderr,
            )
        return client.GenreClient(
            options.server,
            model_name=options.model_name or MODEL_NAME,
            model_version=options.model_version,
            version_label=options.version_label or None,
            rest=options.rest,
            tls=tls,
            api_key=key,
            timeout_s=client.TIMEOUT_S if options.timeout_s is None else options.timeout_s,
        )
    except SettingsError as error:
        raise UsageError(str(error)) from error
    except ClientError as error:
        raise GenreflowError(str(error)) from error


def _api_key(path: str) -> str | None:
    """That of the file, else of the environment; never shown."""
    if not path:
        return os.environ.get(KEY_VARIABLE) or None
    try:
        with open(path, "rb") as file:
            content = file.read(_MAX_KEY_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; --api-key-file needs a file") from error
    if len(content) > _MAX_KEY_BYTES or not content.isascii():
        raise UsageError(f"{path}: not an API key: at most {_MAX_KEY_BYTES} ASCII characters")
    return content.decode("ascii")
