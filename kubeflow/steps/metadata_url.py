"""URL of ML Metadata's database, without a secret, and connections to it.

`mysql://user@host:3306/database` is for a cluster; its password is in the variable
GENREFLOW_METADATA_PASSWORD. `sqlite:///absolute/path` is for one machine, or for a volume on which
one step runs at a time.
"""

from __future__ import annotations

import dataclasses
import os
import re
import socket
import urllib.parse
from collections.abc import Mapping
from typing import Any

from components.common.errors import GenreflowError, UsageError

PASSWORD_VARIABLE = "GENREFLOW_METADATA_PASSWORD"
_MYSQL_PORT = 3306
_PROBE_SECONDS = 10.0
_NAME = re.compile(r"[A-Za-z0-9_$-]+", re.ASCII)
HELP = f"URL of ML Metadata's database; MySQL's password is read from {PASSWORD_VARIABLE}"
_FORMS = "mysql://user@host:3306/database or sqlite:///folder/metadata.sqlite"


class MetadataUnreachable(GenreflowError):  # noqa: N818  an outcome, as RunFailed is
    """Error for a metadata store that does not respond, or refuses the connection."""


@dataclasses.dataclass(frozen=True)
class MetadataUrl:
    """Checked URL of a database.

    Attributes:
      kind: "mysql" or "sqlite".
      path: absolute path of SQLite's file, or name of MySQL's database.
      host: "" for SQLite.
      port: 0 for SQLite.
      user: "" for SQLite.
    """

    kind: str
    path: str
    host: str = ""
    port: int = 0
    user: str = ""

    def __str__(self) -> str:
        if self.kind == "sqlite":
            return f"sqlite://{self.path}"
        return f"mysql://{self.user}@{self.host}:{self.port}/{self.path}"


def parse(text: str) -> MetadataUrl:
    """Parse a URL.

    Raises:
      UsageError: the URL is invalid or contains a password, which the message does not repeat.
    """
    url = urllib.parse.urlsplit(text)
    if url.password is not None:
        raise UsageError(
            "the metadata URL contains a password, which would be stored in the pipeline for all "
            f"to read; remove it, and set the variable {PASSWORD_VARIABLE} from a Secret"
        )
    if url.query or url.fragment:
        raise UsageError(f"the metadata URL takes no options; write {_FORMS}")
    if url.scheme == "sqlite":
        if url.netloc or not url.path.strip("/") or url.path.endswith("/"):
            raise UsageError(f"{text}: not the absolute path of a file; write {_FORMS}")
        return MetadataUrl("sqlite", "/" + url.path.lstrip("/"))  # SQLAlchemy writes four slashes
    try:
        port = url.port or _MYSQL_PORT
    except ValueError as error:
        raise UsageError(f"{text}: {error}; write {_FORMS}") from error
    database = url.path.removeprefix("/")
    named = url.hostname and _NAME.fullmatch(url.username or "") and _NAME.fullmatch(database)
    if url.scheme != "mysql" or not named:
        raise UsageError(f"{text or 'the metadata URL is empty'}: write {_FORMS}")
    assert url.hostname
    assert url.username
    return MetadataUrl("mysql", database, url.hostname, port, url.username)


def connection_config(url: MetadataUrl, environment: Mapping[str, str]) -> Any:
    """Return an ml_metadata ConnectionConfig.

    Raises:
      UsageError: MySQL's password is not in the environment, or SQLite's folder cannot be created.
    """
    # TFX has functions for this, but importing them takes tens of seconds.
    from ml_metadata.proto import metadata_store_pb2

    if url.kind == "sqlite":
        try:
            os.makedirs(os.path.dirname(url.path), exist_ok=True)
        except OSError as error:
            raise UsageError(f"{url}: its folder cannot be created ({error.strerror})") from error
        sqlite = metadata_store_pb2.SqliteMetadataSourceConfig
        return metadata_store_pb2.ConnectionConfig(
            sqlite=sqlite(filename_uri=url.path, connection_mode=sqlite.READWRITE_OPENCREATE)
        )
    if PASSWORD_VARIABLE not in environment:
        raise UsageError(
            f"{url}: no password: the variable {PASSWORD_VARIABLE} is not set; add the key "
            "`password` to the Secret that kubeflow.metadata_secret names"
        )
    return metadata_store_pb2.ConnectionConfig(
        mysql=metadata_store_pb2.MySQLDatabaseConfig(
            host=url.host,
            port=url.port,
            database=url.path,
            user=url.user,
            password=environment[PASSWORD_VARIABLE],
        )
    )


def check_reachable(url: MetadataUrl, connection: Any) -> None:
    """Connect once, which also creates missing tables.

    Raises:
      MetadataUnreachable: the database does not respond, or refuses the connection.
    """
    from ml_metadata import errors
    from ml_metadata.metadata_store import metadata_store

    if url.kind == "mysql":
        _check_port(url)  # else the library prints its guesses to stderr
    try:
        metadata_store.MetadataStore(connection)
    # The first three stand for a refused connection, a wrong password and a missing database; the
    # C++ library wraps all other failures in a RuntimeError.
    except (errors.InternalError, errors.UnavailableError, errors.NotFoundError, RuntimeError) as e:
        raise MetadataUnreachable(f"{url}: ML Metadata cannot be used: {_diagnosis(url, e)}") from e


def _check_port(url: MetadataUrl) -> None:
    """Raise MetadataUnreachable unless a server listens at the URL's host and port."""
    try:
        socket.create_connection((url.host, url.port), timeout=_PROBE_SECONDS).close()
    except OSError as refusal:
        raise MetadataUnreachable(
            f"{url}: ML Metadata cannot be used: no response from {url.host}:{url.port} "
            f"({refusal.strerror or refusal}); is the database running, and do the network "
            "policies let this pod reach it?"
        ) from refusal


def _diagnosis(url: MetadataUrl, error: BaseException) -> str:
    """Return the reason of a failed connection, and what to do.

    The library's own message does not tell a wrong password from a server that is down.
    """
    message = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
    if url.kind == "sqlite":
        return f"{message}; is it an SQLite file, on a writable volume?"
    return (
        f"the server refused the connection ({message}); are the user, the database and the "
        f"password in {PASSWORD_VARIABLE} right? In MySQL 8 the user must be identified with "
        "mysql_native_password, which is all that ML Metadata's library supports"
    )
