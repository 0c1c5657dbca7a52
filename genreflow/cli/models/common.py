"""Options of the `genreflow models` commands, and what they all need."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from components.common.errors import GenreflowError, UsageError
from components.common.model_contract import MODEL_NAME
from genreflow.cli.options import DEFAULT_WORK_DIR

if TYPE_CHECKING:
    from components.versions.folder import VersionFolder
    from components.versions.record import VersionRecord

AVAILABLE = "AVAILABLE"
# Loading a large network, after the poll that finds it.
WAIT_SECONDS = 180.0
_POLL_SECONDS = 0.5

WorkDirOption = Annotated[
    str,
    typer.Option(
        "--work-dir",
        "-w",
        metavar="FOLDER",
        help=f"Work folder of the runs that pushed [default: {DEFAULT_WORK_DIR}].",
    ),
]
DestinationOption = Annotated[
    str,
    typer.Option(
        "--destination",
        metavar="FOLDER|URI",
        help="Where runs push, if not to the work folder: storage.push_destination, a folder or "
        "s3://bucket/folder.",
    ),
]
VersionArgument = Annotated[int, typer.Argument(metavar="VERSION", min=0, help="A version.")]
ServerOption = Annotated[
    str,
    typer.Option(
        "--server", metavar="HOST:PORT", help="Ask this server (gRPC) which versions it serves."
    ),
]
TlsOption = Annotated[bool, typer.Option("--tls", help="Encrypt the connection to the server.")]
CaCertOption = Annotated[
    str,
    typer.Option("--ca-cert", metavar="FILE", help="Trust this authority (PEM); with --tls."),
]
ApiKeyFileOption = Annotated[
    str,
    typer.Option(
        "--api-key-file",
        metavar="FILE",
        help="File with the server's API key [default: GENREFLOW_API_KEY].",
    ),
]


@dataclasses.dataclass(frozen=True)
class ServerOptions:
    """Options of the connection to a server as typed; `server` is "" without one."""

    server: str = ""
    tls: bool = False
    ca_cert: str = ""
    api_key_file: str = ""

    def states(self) -> dict[int, str]:
        """Return the state of each version that the server knows; {} without a server.

        Raises:
          UsageError: an option cannot be used.
          GenreflowError: the server cannot be asked.
        """
        if not self.server:
            if self.tls or self.ca_cert or self.api_key_file:
                raise UsageError("--tls, --ca-cert and --api-key-file need --server")
            return {}
        from genreflow.cli.predict.model import read_api_key
        from serving.client.address import parse_address
        from serving.client.connection import Connection
        from serving.client.errors import ClientError, ModelNotFoundError, SettingsError
        from serving.client.transport import ModelSpec, Tls

        try:
            address = parse_address(self.server, tls=self.tls)
            if self.ca_cert and not address.tls:
                raise UsageError("--ca-cert is for TLS; add --tls")
            connection = Connection(
                address,
                ModelSpec(MODEL_NAME),
                tls=Tls(self.ca_cert or None) if address.tls else None,
                api_key=read_api_key(self.api_key_file),
                timeout_s=10.0,
            )
        except SettingsError as error:
            raise UsageError(str(error)) from error
        try:
            return dict(connection.states())
        except ModelNotFoundError:
            return {}
        except ClientError as error:
            raise GenreflowError(str(error)) from error
        finally:
            connection.close()

    def in_use(self) -> list[int]:
        """Return the versions that the server serves or is about to; [] without a server."""
        return [number for number, state in self.states().items() if state != "END"]

    def wait_for(self, number: int, say: Callable[[str], None]) -> None:
        """Wait until the server serves a version.

        Raises:
          GenreflowError: it does not within WAIT_SECONDS, or cannot be asked.
        """
        end = time.monotonic() + WAIT_SECONDS
        say(f"waiting until {self.server} serves version {number}")
        while (states := self.states()).get(number) != AVAILABLE:
            if time.monotonic() > end:
                shown = ", ".join(f"{one} {state}" for one, state in sorted(states.items()))
                raise GenreflowError(
                    f"{self.server}: does not serve version {number} after {WAIT_SECONDS:g} s; its "
                    f"versions: {shown or 'none'}. Look into the server's log, and check that it "
                    "watches this folder"
                )
            time.sleep(_POLL_SECONDS)


def models_folder(work_dir: str, destination: str) -> str:
    """Return the folder of the model's versions that the options name: a path or an s3:// URI.

    Raises:
      UsageError: both options are given, or there is no such folder.
    """
    from components.storage.uri import checked_place, is_remote, join
    from components.versions.folder import list_versions
    from pipeline.work_dir import WorkDir

    if work_dir and destination:
        raise UsageError("name the versions by either --work-dir or --destination, not both")
    if not destination:
        work = WorkDir.at(work_dir or DEFAULT_WORK_DIR)
        models = join(str(work.serving_root), MODEL_NAME)
        if not os.path.isdir(models):
            raise UsageError(
                f"{models}: no such folder, so nothing was pushed there; name the work folder of a "
                "run by --work-dir, or where runs push by --destination"
            )
        return models
    place = checked_place(destination, "--destination")
    if not is_remote(place):
        place = os.path.abspath(os.path.expanduser(place))
    models = join(place, MODEL_NAME)
    if not list_versions(models):
        if list_versions(place):  # the model's own folder
            return place
        raise UsageError(
            f"{models}: there are no versions; name the folder that holds {MODEL_NAME}/<version>/"
        )
    return models


def record_of(version: VersionFolder) -> tuple[VersionRecord | None, str]:
    """Return a version's record, and why it cannot be read, or ""."""
    from components.common.errors import DataError
    from components.versions.record import read_record

    try:
        return read_record(version.uri), ""
    except DataError as error:
        return None, str(error)


def shown_time(utc: str) -> str:
    """Return an ISO time in UTC as this machine's time, to the minute; "" for ""."""
    import datetime

    try:
        moment = datetime.datetime.fromisoformat(utc.replace("Z", "+00:00"))
    except ValueError:
        return utc
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"


def shown_size(size_bytes: int) -> str:
    """Return a size in MB."""
    return f"{size_bytes / 1e6:.1f} MB"
