"""TensorFlow's own server, `tensorflow_model_server`, run in place of Genreflow's.

It lacks some things, which are therefore reported or refused here: it cannot listen on one
address only (gRPC and REST use all), ask for an API key, refuse reload requests, encrypt REST or
limit requests. When it is told to stop, it does not finish the requests in progress. Versions
that exist at the start are checked before it loads them; later ones it loads unchecked.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from serving.protocol.names import API_KEY_VARIABLE
from serving.server.config.model_list import read_config_file
from serving.server.config.options import (
    AUTO,
    NO_REST,
    TENSORFLOW_SERVING,
    ServeOptions,
    flag,
)
from serving.server.config.security import ServerTls, read_tls
from serving.server.config.settings import ModelConfig
from serving.server.ready_file import ReadyFile
from serving.tensorflow_serving.command import check_models, command, config_files
from serving.tensorflow_serving.probe import BINARY, EngineError, Probe
from serving.tensorflow_serving.process import ServerProcess

# The newest minor version of TensorFlow that models are exported with. TensorFlow promises that it
# loads models of its own and of earlier minor versions (tensorflow.org/guide/versions).
TENSORFLOW_VERSION = "2.21"
# A large model on a slow disk takes minutes; a server that hangs, forever.
START_SECONDS = 600.0
POLL_SECONDS = 0.2
# Options without a counterpart in TensorFlow Serving. They are ignored with a note.
_IGNORED_OPTIONS = ("model_root", "allow_reload", "max_message_mb", "max_waveform_seconds",
                    "max_concurrent")  # fmt: skip
_NO_BINARY = (
    f"--engine {TENSORFLOW_SERVING}: there is no {BINARY} on the PATH. Install Google's Debian "
    "package tensorflow-model-server (tensorflow.org/tfx/serving/setup names the apt source), "
    f"version {TENSORFLOW_VERSION} or newer; or run serving/docker-compose.yml, which does not "
    "need it; or use --engine genreflow"
)


def find_binary() -> str | None:
    """Return the path of `tensorflow_model_server`, or None if it is not on the PATH."""
    return shutil.which(BINARY)


def is_chosen(options: ServeOptions, environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether the options choose TensorFlow Serving: by name, or `auto` if it can serve."""
    if options.engine == AUTO:
        return find_binary() is not None and _unsupported(options, environment) is None
    return options.engine == TENSORFLOW_SERVING


def serve(
    options: ServeOptions,
    *,
    say: Callable[[str], None] = lambda line: print(line, file=sys.stderr, flush=True),
    start_seconds: float = START_SECONDS,
) -> int:
    """Start TensorFlow Serving, wait until it serves every model, and then until it ends.

    Its output goes where this process's output goes. SIGTERM and SIGINT are forwarded to it.
    Call this from the main thread.

    Args:
      options: the options as typed. Those that it does not support are refused, or named by
        `say`.
      say: prints a line for the user.
      start_seconds: how long it may take until every model is available.

    Returns:
      The exit status: 0 if it was told to stop, else its own.

    Raises:
      EngineError: it is not installed, does not support an option, or ended or took too long
        before it served.
      ModelFolderError: a model cannot be loaded safely.
      OptionError: a file that an option names cannot be used.
    """
    binary = find_binary()
    if binary is None:
        raise EngineError(_NO_BINARY)
    reason = _unsupported(options, os.environ)
    if reason is not None:
        raise EngineError(f"--engine {TENSORFLOW_SERVING}: {reason}; use --engine genreflow")
    tls = read_tls(options.tls_cert, options.tls_key, options.tls_client_ca)
    if options.model_config_file:
        models = read_config_file(options.model_config_file)
    else:
        models = [options.model_config()]
    check_models(models)
    port = _free_port("--port", options.port)
    rest_port = 0
    if options.rest_port != NO_REST and tls is None:
        rest_port = _free_port("--rest-port", options.rest_port, other_than=port)
    for line in _notes(options, port, rest_port, tls):
        say(line)
    batching = options.batching_settings()
    scratch = tempfile.TemporaryDirectory(prefix="genreflow-serving-")
    with ReadyFile(options.ready_file) as ready_file, scratch:
        folder = pathlib.Path(scratch.name)  # mode 0700: it may hold a private key
        for file_name, text in config_files(models, batching, tls).items():
            (folder / file_name).write_text(text, encoding="utf-8")
        arguments = command(
            binary,
            folder,
            port=port,
            rest_port=rest_port,
            poll_seconds=options.poll_seconds,
            batching=batching is not None,
            tls=tls is not None,
        )
        with ServerProcess(arguments, options.grace_seconds) as process:
            probe = Probe(port, rest_port, tls=tls is not None)
            if _wait_until_serving(process, models, probe, start_seconds):
                scratch.cleanup()  # all files are read by now, and SIGKILL would leave them
                ports = f"gRPC at port {port}" + (f", REST at port {rest_port}" * bool(rest_port))
                say(f"TensorFlow Serving ({BINARY}, pid {process.pid}): {ports}")
                ready_file.write(
                    engine=TENSORFLOW_SERVING,
                    host="127.0.0.1" if options.host in ("0.0.0.0", "::") else options.host,
                    port=port,
                    rest_port=rest_port,
                    pid=process.pid,
                )
            return process.wait()


def _wait_until_serving(
    process: ServerProcess, models: Sequence[ModelConfig], probe: Probe, start_seconds: float
) -> bool:
    """Return True once every model is served, or False if a stop was requested before."""
    deadline = time.monotonic() + start_seconds
    missing = [model.name for model in models]
    with probe:
        while not process.is_stopping:
            ending = process.ending()
            if ending is not None:
                raise EngineError(
                    f"{BINARY} ended {ending} before it served {', '.join(missing)}; its output "
                    "above says why"
                )
            missing = [model.name for model in models if not probe.serves(model.name)]
            if not missing:
                if probe.answers_rest():
                    return True
                missing = ["REST"]
            if time.monotonic() > deadline:
                raise EngineError(
                    f"{BINARY} did not serve {', '.join(missing)} within {start_seconds:g} "
                    "seconds; its output above may say why"
                )
            process.pause(POLL_SECONDS)
    return False


def _unsupported(options: ServeOptions, environment: Mapping[str, str]) -> str | None:
    """Return what the options need that TensorFlow Serving lacks, or None.

    Options that can be ignored do not count.
    """
    if options.api_key_file:
        return "TensorFlow Serving checks no API key (--api-key-file)"
    if API_KEY_VARIABLE in environment:
        return f"TensorFlow Serving checks no API key ({API_KEY_VARIABLE} is set)"
    return None


def _notes(
    options: ServeOptions, port: int, rest_port: int, tls: ServerTls | None
) -> Iterator[str]:
    """Yield a note on each option that TensorFlow Serving does not follow."""
    ports = f"{port} and {rest_port}" if rest_port else str(port)
    if options.host not in ("0.0.0.0", "::"):
        yield (
            f"note: TensorFlow Serving cannot listen on {options.host} only: anyone who reaches "
            f"this machine reaches port {ports}, and can make it load other models; restrict "
            "access with a firewall, or use serving/docker-compose.yml"
        )
    if tls is not None and options.rest_port != NO_REST:
        yield "note: TensorFlow Serving encrypts only gRPC, so REST is off"
    defaults = {field.name: field.default for field in dataclasses.fields(ServeOptions)}
    ignored = [name for name in _IGNORED_OPTIONS if getattr(options, name) != defaults[name]]
    if ignored:
        yield f"note: TensorFlow Serving ignores {', '.join(map(flag, ignored))}"


def _free_port(option: str, wanted: int, other_than: int = 0) -> int:
    """Return the wanted port, or for 0 one that is free on all addresses.

    gRPC itself would share a port with another gRPC server, and either would get requests.

    Raises:
      EngineError: another program listens on the port.
    """
    while True:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("", wanted))
            except OSError as error:
                raise EngineError(
                    f"{option} {wanted}: {error.strerror}; choose another port"
                ) from error
            port = int(probe.getsockname()[1])
        if port != other_than:
            return port
