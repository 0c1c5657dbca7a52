"""Run of a server from the command line: choose the engine, load, serve, shut down."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from types import FrameType

from serving.model.model_files import ModelFolderError
from serving.protocol.names import API_KEY_VARIABLE
from serving.server import startup_text
from serving.server.app import Server
from serving.server.config.options import GENREFLOW, TENSORFLOW_SERVING, OptionError, ServeOptions
from serving.server.listening import check_ports
from serving.server.ready_file import ReadyFile
from serving.server.server_settings import ServerSettings

Print = Callable[[str], None]
Spinner = Callable[[], contextlib.AbstractContextManager[object]]


def serve(
    options: ServeOptions,
    say: Print,
    warn: Print,
    spinner: Spinner = contextlib.nullcontext,
) -> int:
    """Serve until SIGTERM or SIGINT arrives, by the engine that the options choose.

    A second signal stops the server without waiting for requests. Signals are handled in the
    main thread, so call this there.

    Args:
      options: the options as typed.
      say: prints a line on standard output.
      warn: prints a line on standard error.
      spinner: makes a context that is entered while models are loaded.

    Returns:
      The exit status.

    Raises:
      OptionError: an option cannot be used, at least by this engine.
      ModelFolderError: a model cannot be loaded.
    """
    from serving.tensorflow_serving import engine as tensorflow_serving

    if tensorflow_serving.is_chosen(options):
        chosen = dataclasses.replace(options, engine=TENSORFLOW_SERVING)
        return tensorflow_serving.serve(chosen, say=warn)
    _serve_here(dataclasses.replace(options, engine=GENREFLOW), say, warn, spinner)
    return 0


def _serve_here(options: ServeOptions, say: Print, warn: Print, spinner: Spinner) -> None:
    """Serve by Genreflow's own server, in this process."""
    _quiet_libraries()
    with _stop_signals() as signals:
        settings = ServerSettings.load(options, os.environ.get(API_KEY_VARIABLE))
        check_ports(options)
        with ReadyFile(options.ready_file) as ready_file:
            for model in settings.models:
                say(startup_text.loading(model))
            for line in startup_text.warnings(settings):
                warn(line)
            server = Server(settings, say)
            try:
                with spinner(), signals.interrupting():
                    server.load()
                server.start()
                for line in startup_text.introduction(settings, server.port, server.rest_port):
                    say(line)
                ready_file.write(
                    engine=GENREFLOW,
                    host=options.host,
                    port=server.port,
                    rest_port=server.rest_port,
                    pid=os.getpid(),
                )
                signals.first.wait()
                say(f"stopping: up to {options.grace_seconds:g} s for requests in progress")
                _stop(server, options.grace_seconds, signals)
            except _Interrupted:
                _exit_now(say)
            except (OptionError, ModelFolderError):
                server.stop(0)
                raise
        say(f"stopped; {server.answered} requests answered")


def _quiet_libraries() -> None:
    """Silence libraries before they are imported.

    TensorFlow's remarks about the processor do not concern who serves a model. gRPC would log
    every connection without TLS, so that anyone could flood the log.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    warnings.filterwarnings("ignore", category=FutureWarning, module="google")


class _Interrupted(Exception):  # noqa: N818  an outcome
    """A stop signal arrived before anything was served."""


class _StopSignals:
    """Events for the first and the second stop signal."""

    def __init__(self) -> None:
        self.first, self.second = threading.Event(), threading.Event()
        self._interrupts = False

    def handle(self, _number: int, _frame: FrameType | None) -> None:
        """Handle a signal."""
        (self.second if self.first.is_set() else self.first).set()
        if self._interrupts:
            self._interrupts = False
            raise _Interrupted

    @contextlib.contextmanager
    def interrupting(self) -> Iterator[None]:
        """Raise _Interrupted inside the context as soon as a signal arrives."""
        if self.first.is_set():
            raise _Interrupted
        self._interrupts = True
        try:
            yield
        finally:
            self._interrupts = False


@contextlib.contextmanager
def _stop_signals() -> Iterator[_StopSignals]:
    """Handle SIGTERM and SIGINT inside the context."""
    signals = _StopSignals()
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, signals.handle) for number in numbers}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _exit_now(say: Print) -> None:
    """Exit while models are still loading.

    The loading thread cannot be stopped, and has begun nothing that must be finished.
    """
    say("stopped before anything was served")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _stop(server: Server, grace_seconds: float, signals: _StopSignals) -> None:
    """Stop in a thread, so that a second signal can cut the waiting short."""
    stopping = threading.Thread(target=server.stop, args=(grace_seconds,), daemon=True)
    stopping.start()
    while stopping.is_alive() and not signals.second.is_set():
        stopping.join(0.1)
    if stopping.is_alive():
        server.stop(0)
