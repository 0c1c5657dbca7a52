"""`genreflow serve`'s work: load, say what is served, wait for the end, stop in order."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shlex
import shutil
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from types import FrameType

from components.common.model_contract import SAVED_MODEL
from serving.model.model_files import VERSION_NAME, ModelFolderError
from serving.server import app
from serving.server.config.options import NO_REST, OptionError, ServeOptions
from serving.server.config.security import KEY_HEADER, KEY_VARIABLE
from serving.server.config.settings import ModelConfig
from serving.server.models import versions

Say = Callable[[str], None]
Loading = Callable[[], contextlib.AbstractContextManager[object]]


def serve(
    options: ServeOptions,
    say: Say,
    warn: Say,
    loading: Loading = contextlib.nullcontext,
) -> int:
    """Serves until SIGTERM or SIGINT; a second one ends it without waiting. Returns 0.

    Must be called from the main thread, as signals are heard there.

    Args:
      options: as typed; their `engine` is not looked at.
      say: shows a line, on standard output.
      warn: shows a line, on standard error.
      loading: entered while models are loaded, such as a spinner.

    Raises:
      OptionError: an option cannot be used.
      ModelFolderError: a model cannot be loaded.
    """
    _quiet_libraries()
    with _signals() as ends:
        settings = app.ServerSettings.of(options, os.environ.get(KEY_VARIABLE))
        app.check_ports(settings)
        _check_ready(options.ready_file)
        _clear(options.ready_file)
        for model in settings.models:
            say(f"loading {model.name} {_versions(model)}from {model.base_path}")
        for line in cautions(settings):
            warn(line)
        server = app.Server(settings, say)
        try:
            with loading(), _interrupted_by(ends):
                server.load()
            server.start()
            for line in _introduction(settings, server):
                say(line)
            if options.ready_file:
                _write_ready(options.ready_file, settings, server)
            ends.first.wait()
            say(f"stopping: up to {settings.grace_seconds:g} s for the requests in work")
            _stop(server, settings.grace_seconds, ends)
        except _EndedError:
            _leave(say)
        except (OptionError, ModelFolderError):
            server.stop(0)
            raise
        finally:
            _clear(options.ready_file)
        say(f"stopped; {server.answered} requests answered")
    return 0


def _quiet_libraries() -> None:
    """Before they start: TensorFlow's remarks on the processor are not for who serves a model;
    and gRPC would print lines for each connection that is no TLS, as often as anyone likes."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    warnings.filterwarnings("ignore", category=FutureWarning, module="google")


class _EndedError(Exception):
    """A signal came before anything was served."""


class _Ends:
    """Events of the first and the second signal."""

    def __init__(self) -> None:
        self.first, self.second = threading.Event(), threading.Event()
        self.raise_at_once = False

    def heard(self, _number: int, _frame: FrameType | None) -> None:
        """The signal handler."""
        (self.second if self.first.is_set() else self.first).set()
        if self.raise_at_once:
            self.raise_at_once = False
            raise _EndedError


@contextlib.contextmanager
def _signals() -> Iterator[_Ends]:
    """Listens to SIGTERM and SIGINT inside."""
    ends = _Ends()
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, ends.heard) for number in numbers}
    try:
        yield ends
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _interrupted_by(ends: _Ends) -> Iterator[None]:
    """A signal ends what is inside at once."""
    if ends.first.is_set():
        raise _EndedError
    ends.raise_at_once = True
    try:
        yield
    finally:
        ends.raise_at_once = False


def _leave(say: Say) -> None:
    """Ends the process at once. The thread that loads cannot be told to stop, and nobody who
    typed Ctrl-C wants to wait for it; nothing was begun that has to be finished."""
    say("stopped before anything was served")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _stop(server: app.Server, grace_seconds: float, ends: _Ends) -> None:
    """Stops in a thread, so that a second signal can end the waiting."""
    stopping = threading.Thread(target=server.stop, args=(grace_seconds,), daemon=True)
    stopping.start()
    while stopping.is_alive() and not ends.second.is_set():
        stopping.join(0.1)
    if stopping.is_alive():
        server.stop(0)


def _versions(model: ModelConfig) -> str:
    """ "version 3 " where it is plain which will be served."""
    found = [
        int(entry.parent.name)
        for entry in model.base_path.glob(f"*/{SAVED_MODEL}")
        if VERSION_NAME.fullmatch(entry.parent.name)
    ]
    wanted = versions.in_order(found, model.policy)
    is_one = min(len(wanted), versions.most(model.policy)) == 1
    return f"version {wanted[0]} " if is_one else ""


def cautions(settings: app.ServerSettings) -> Iterator[str]:
    """What is said of an address that others can reach, and that is not guarded."""
    if app.is_loopback(settings.host):
        return
    if settings.tls is None:
        yield (
            f"warning: {settings.host} can be reached by others, and what is sent can be read on "
            "the way; --tls-cert and --tls-key encrypt it"
        )
    if settings.api_key is None and (settings.tls is None or settings.tls.client_ca is None):
        yield (
            f"warning: whoever reaches {settings.host} may ask this server; --api-key-file or "
            "--tls-client-ca let only those in whom you know"
        )


def _introduction(settings: app.ServerSettings, server: app.Server) -> Iterator[str]:
    """What serves, where, and how to try it."""
    shown = "127.0.0.1" if settings.host in ("0.0.0.0", "") else settings.host
    shown = "::1" if shown == "::" else shown
    grpc_address = app.address(shown, server.port)
    name = settings.models[0].name
    scheme = "http" if settings.tls is None else "https"
    yield "Genreflow's own server, which speaks TensorFlow Serving's protocol:"
    yield f"  gRPC  {app.address(settings.host, server.port)}"
    if server.rest_port != NO_REST:
        yield f"  REST  {scheme}://{app.address(settings.host, server.rest_port)}/v1/models/{name}"
    client = "" if name == "genreflow" else f" --model-name {shlex.quote(name)}"
    if settings.tls is not None:
        client += " --tls --ca-cert CA.pem"
        if settings.tls.client_ca is not None:
            client += " --client-cert CERT.pem --client-key KEY.pem"
    if settings.api_key is not None:
        client += " --api-key-file FILE"
    yield "try it:"
    yield f"  {_program()} predict song.mp3 --server {grpc_address}{client}"
    if server.rest_port != NO_REST:
        header = "" if settings.api_key is None else f"-H '{KEY_HEADER}: ...' "
        encrypted = "" if settings.tls is None else "--cacert CA.pem "
        if settings.tls is not None and settings.tls.client_ca is not None:
            encrypted += "--cert CERT.pem --key KEY.pem "
        url = f"{scheme}://{app.address(shown, server.rest_port)}/v1/models/{name}"
        yield f"  curl {encrypted}{header}{url}"
    yield "stop it: Ctrl-C"


def _program() -> str:
    """How the client can be typed: by its name where the shell finds it, else where it lies."""
    beside = pathlib.Path(sys.executable).with_name("genreflow")
    is_found = shutil.which("genreflow") or not beside.is_file()
    return "genreflow" if is_found else shlex.quote(str(beside))


def _check_ready(path: str) -> None:
    """Tells of a folder that is not there before the models are loaded, which takes long.

    Raises:
      OptionError: the file could not be written.
    """
    folder = pathlib.Path(path).parent
    if path and not folder.is_dir():
        raise OptionError(f"--ready-file {path}: there is no folder {folder}; make it first")


def _write_ready(path: str, settings: app.ServerSettings, server: app.Server) -> None:
    """Says that everything is served; written to a temporary name, then renamed.

    Raises:
      OptionError: it cannot be written.
    """
    ready = {
        "engine": "genreflow",
        "host": settings.host,
        "port": server.port,
        "rest_port": server.rest_port,
        "pid": os.getpid(),
    }
    temporary = pathlib.Path(f"{path}.{os.getpid()}.tmp")
    try:
        temporary.write_text(json.dumps(ready) + "\n", encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise OptionError(f"--ready-file {path}: {error.strerror}") from error


def _clear(ready_file: str) -> None:
    """Takes away the ready file, of an earlier server or of this one."""
    if ready_file:
        with contextlib.suppress(OSError):
            pathlib.Path(ready_file).unlink()
