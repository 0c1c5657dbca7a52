"""Where ML Metadata lies, as one URL that holds no secret.

`mysql://user@host:3306/database` on a cluster, its password in GENREFLOW_METADATA_PASSWORD;
`sqlite:///absolute/path` for one machine, or for a volume on which one step runs at a time.
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
HELP = f"URL of ML Metadata's database; MySQL's password is in {PASSWORD_VARIABLE}"
_FORMS = "mysql://user@host:3306/database or sqlite:///folder/metadata.sqlite"


class MetadataUnreachable(GenreflowError):  # noqa: N818  an outcome, as RunFailed is
    """The metadata store does not answer."""


@dataclasses.dataclass(frozen=True)
class MetadataUrl:
    """A checked URL. `path` is a file's of SQLite, or the database's name of MySQL."""

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
    """Reads the URL.

    Raises:
      UsageError: another form, or one with a password, which is not repeated.
    """
    url = urllib.parse.urlsplit(text)
    if url.password is not None:
        raise UsageError(
            "the metadata URL holds a password, which would be stored in the pipeline for all to "
            f"read; leave it out, and give it as the variable {PASSWORD_VARIABLE} (a Secret)"
        )
    if url.query or url.fragment:
        raise UsageError(f"the metadata URL takes no options; write {_FORMS}")
    if url.scheme == "sqlite":
        if url.netloc or not url.path.strip("/") or url.path.endswith("/"):
            raise UsageError(f"{text}: not an absolute path of a file; write {_FORMS}")
        return MetadataUrl("sqlite", "/" + url.path.lstrip("/"))  # four slashes, as SQLAlchemy's
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
    """An ml_metadata ConnectionConfig.

    Raises:
      UsageError: MySQL's password is not in the environment, or SQLite's folder cannot be made.
    """
    # TFX has the same in functions, behind tens of seconds of imports.
    from ml_metadata.proto import metadata_store_pb2

    if url.kind == "sqlite":
        try:
            os.makedirs(os.path.dirname(url.path), exist_ok=True)
        except OSError as error:
            raise UsageError(f"{url}: its folder cannot be made ({error.strerror})") from error
        sqlite = metadata_store_pb2.SqliteMetadataSourceConfig
        return metadata_store_pb2.ConnectionConfig(
            sqlite=sqlite(filename_uri=url.path, connection_mode=sqlite.READWRITE_OPENCREATE)
        )
    if PASSWORD_VARIABLE not in environment:
        raise UsageError(
            f"{url}: no password: the variable {PASSWORD_VARIABLE} is not set; add it to the "
            "Secret that kubeflow.metadata_secret names"
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
    """Connects once, which makes missing tables too.

    Raises:
      MetadataUnreachable: nothing answers there, or it refuses.
    """
    from ml_metadata import errors
    from ml_metadata.metadata_store import metadata_store

    if url.kind == "mysql":
        _check_that_it_listens(url)  # else the library guesses at why, on stderr
    try:
        metadata_store.MetadataStore(connection)
    # The first three are what the C++ library makes of a refused connection, a bad password and
    # a database that is not there; RuntimeError is its wrapping of the rest.
    except (errors.InternalError, errors.UnavailableError, errors.NotFoundError, RuntimeError) as e:
        raise MetadataUnreachable(f"{url}: ML Metadata cannot be used: {_diagnosis(url, e)}") from e


def _check_that_it_listens(url: MetadataUrl) -> None:
    try:
        socket.create_connection((url.host, url.port), timeout=_PROBE_SECONDS).close()
    except OSError as refusal:
        raise MetadataUnreachable(
            f"{url}: ML Metadata cannot be used: nothing answers at {url.host}:{url.port} "
            f"({refusal.strerror or refusal}); is the database running, and may this pod reach it "
            "(network policies)?"
        ) from refusal


def _diagnosis(url: MetadataUrl, error: BaseException) -> str:
    """Why, and what to do; the library's own words do not tell a wrong password from a server
    that is down."""
    said = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
    if url.kind == "sqlite":
        return f"{said}; is it a file of SQLite, on a volume that may be written?"
    return (
        f"the server answers, and refuses ({said}); are the user, the database and the password "
        f"in {PASSWORD_VARIABLE} right? A user of MySQL 8 must be identified with "
        "mysql_native_password, the only way that ML Metadata's library knows"
    )
