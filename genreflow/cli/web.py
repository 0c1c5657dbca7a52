"""`genreflow web`: a page to listen with."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import pathlib
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from components.common.errors import UsageError
from components.common.escape import printable
from genreflow.cli.browser import (
    DEFAULT_HOST,
    DEFAULT_PORT,
    AllowHostOption,
    HostOption,
    OpenOption,
    PortOption,
    open_page,
)
from genreflow.cli.exit import command
from genreflow.cli.help import USE, shown
from genreflow.cli.predict.command import predict
from genreflow.cli.predict.model import ConnectionOptions, client_maker
from genreflow.cli.serve import local_folder

if TYPE_CHECKING:
    from genreflow.web.listen.models import Backend
    from genreflow.web.listen.receiving import Limits

# Options of the connection to a server, which are those of `genreflow predict`, by their fields.
_CONNECTION = {
    field.name: {"timeout_s": "timeout"}.get(field.name, field.name)
    for field in dataclasses.fields(ConnectionOptions)
}


def _own(
    model_dir: Annotated[
        str,
        typer.Option(
            "--model-dir",
            "-m",
            metavar="FOLDER",
            help="Start a server of this model: a folder of versions, or one version.",
        ),
    ] = "",
    host: HostOption = DEFAULT_HOST,
    port: PortOption = DEFAULT_PORT,
    allow_host: AllowHostOption = None,
    max_upload_mb: Annotated[
        int,
        typer.Option("--max-upload-mb", metavar="N", min=1, max=4096, help="Largest file, in MiB."),
    ] = 256,
    max_minutes: Annotated[
        float,
        typer.Option("--max-minutes", metavar="N", min=0.1, max=1440, help="Longest song."),
    ] = 30,
    open_it: OpenOption = None,
) -> None:
    """Hold the options of the page itself."""


def run(values: Mapping[str, Any]) -> int:
    """Serve the page until a signal arrives, and return the exit status.

    Args:
      values: the options as typed, by name.

    Raises:
      UsageError: not exactly one model is given, or an option cannot be used.
    """
    from genreflow.web import runner
    from serving.model.model_files import ModelFolderError, resolve_version
    from serving.server.config.options import OptionError

    connection = ConnectionOptions(**{field: values[name] for field, name in _CONNECTION.items()})
    model_dir = values["model_dir"]
    connection.check("web", model_dir)
    try:
        if model_dir:
            resolve_version(local_folder(model_dir))
            make_backend = _own_server(pathlib.Path(local_folder(model_dir)))
        else:
            make_backend = _remote_server(connection)
        listener = runner.listen(values["host"], values["port"])
    except (OptionError, ModelFolderError) as error:
        raise UsageError(str(error)) from error
    url = runner.address(values["host"], listener)
    _say(f"Genreflow's page: {url}")
    _say("open it in a browser and drop a song on it; stop it: Ctrl-C")
    for line in runner.warnings(values["host"]):
        _log(line)
    open_page(url, values["open_it"])
    try:
        with make_backend() as backend:
            _serve(backend, listener, values)
    except KeyboardInterrupt:  # before the server handled signals
        listener.close()
    _say("stopped")
    return 0


def _serve(backend: Backend, listener: socket.socket, values: Mapping[str, Any]) -> None:
    from genreflow.web import runner
    from genreflow.web.app import make_app
    from genreflow.web.listen.models import Models
    from genreflow.web.listen.page import ListenPage

    with ListenPage(Models(backend), _limits(values), _log) as listen:
        names = values["allow_host"] or []
        app = make_app([listen.page], host_names=names, on_failure=_log)
        runner.serve(app, listener)


def _limits(values: Mapping[str, Any]) -> Limits:
    from genreflow.web.listen.receiving import Limits

    return Limits(
        upload_bytes=values["max_upload_mb"] << 20, song_seconds=60.0 * values["max_minutes"]
    )


def _remote_server(
    connection: ConnectionOptions,
) -> Callable[[], contextlib.AbstractContextManager[Backend]]:
    """Check the options, and return a function that makes the server's backend."""
    connect = client_maker(connection)

    @contextlib.contextmanager
    def make() -> Iterator[Backend]:
        from genreflow.web.listen.models import Choice, RemoteServer

        default = Choice(connection.model_version, connection.version_label or None)
        yield RemoteServer(connection.server, default, lambda one: connect(one.version, one.label))

    return make


def _own_server(folder: pathlib.Path) -> Callable[[], contextlib.AbstractContextManager[Backend]]:
    """Return a function that starts a server of the model's folder."""

    def make() -> contextlib.AbstractContextManager[Backend]:
        from genreflow.web.listen.own_server import OwnServer

        return OwnServer(
            folder,
            lambda address, one: client_maker(ConnectionOptions(address))(one.version, one.label),
            _log,
        )

    return make


def _say(line: str) -> None:
    print(printable(line), flush=True)


def _log(line: str) -> None:
    print(printable(line), file=sys.stderr, flush=True)


def _command() -> Callable[..., None]:
    """Return the command for typer: predict's options of a model, and the page's own."""

    @shown(
        USE,
        "genreflow web --model-dir genreflow-work/serving_models/genreflow",
        "genreflow web --server localhost:8500 --port 8700",
    )
    def web(**values: object) -> None:
        """Listen to songs on a web page: genres as bars and over time, of any model or server."""
        command(run)(values)

    shared = inspect.signature(predict, eval_str=True).parameters
    own = inspect.signature(_own, eval_str=True).parameters
    chosen = [shared["server"], own["model_dir"]]
    chosen += [shared[name] for name in _CONNECTION.values() if name != "server"]
    chosen += [parameter for name, parameter in own.items() if name != "model_dir"]
    web.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in chosen]
    )
    return web


web = _command()
