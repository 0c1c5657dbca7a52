"""Runs TensorFlow's own server, `tensorflow_model_server`, in place of ours.

What it cannot do, and is therefore said or refused here: listen on one address alone (gRPC and
REST take all), ask for an API key, refuse reload requests, encrypt REST, limit requests. It does
not finish what it is working on when it is told to stop either. Only the versions that are there
at the start are checked before they are loaded; what appears later, it loads unseen.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from serving.server.config.options import NO_REST, OptionError, ServeOptions
from serving.server.config.security import KEY_VARIABLE, Tls, read_tls
from serving.server.config.settings import ModelConfig
from serving.server.models.reload_config import read_config_file
from serving.tensorflow_serving.command import check_models, command, config_files
from serving.tensorflow_serving.process import Child

if TYPE_CHECKING:
    import grpc

BINARY = "tensorflow_model_server"
ENGINE = "tensorflow-serving"
# The line of TensorFlow that models are exported with.
LINE = "2.16"
# A large model on a slow disk takes minutes; a server that hangs, forever.
START_SECONDS = 600.0
POLL_SECONDS = 0.2
# Options that only a server of ours has. They may stay at their defaults.
_OURS_ALONE = ("model_root", "allow_reload", "max_message_mb", "max_waveform_seconds",
               "max_concurrent")  # fmt: skip


class EngineError(OptionError):
    """TensorFlow Serving cannot be used; the message says why and what to do."""


def find() -> str | None:
    """The path of `tensorflow_model_server`, or None where none is on the PATH."""
    return shutil.which(BINARY)


def use_it(options: ServeOptions, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether these options mean TensorFlow Serving: asked for, or `auto` and able to."""
    if options.engine == "auto":
        return find() is not None and _needs_ours(options, environment) is None
    return options.engine == ENGINE


def serve(
    options: ServeOptions,
    *,
    say: Callable[[str], None] = lambda line: print(line, file=sys.stderr, flush=True),
    start_seconds: float = START_SECONDS,
) -> int:
    """Starts TensorFlow Serving, waits until it serves every model, and then until it ends.

    Its output goes where this process's goes. SIGTERM and SIGINT are handed on to it. To be
    called from the main thread.

    Args:
      options: as typed; those that it has no counterpart for are refused, or named by `say`.
      say: takes lines for the user.
      start_seconds: how long it may take until every model is available.

    Returns:
      The exit status: 0 where it was told to stop, otherwise its own.

    Raises:
      EngineError: there is none, it lacks what is asked for, it ended or took too long before
        it served.
      ModelFolderError: a model may not be loaded.
      OptionError: files that are named and cannot be used.
    """
    binary = find()
    if binary is None:
        raise EngineError(_HOW_TO_GET_IT)
    lacking = _needs_ours(options, os.environ)
    if lacking is not None:
        raise EngineError(f"--engine {ENGINE}: {lacking}; use --engine genreflow")
    tls = read_tls(options.tls_cert, options.tls_key, options.tls_client_ca)
    if options.model_config_file:
        models = read_config_file(options.model_config_file)
    else:
        models = [options.model_config()]
    check_models(models)
    port = _port("--port", options.port)
    rest_port = 0
    if options.rest_port != NO_REST and tls is None:
        rest_port = _port("--rest-port", options.rest_port, other_than=port)
    for line in _warnings(options, port, rest_port, tls):
        say(line)
    batching = options.batching_settings()
    scratch = tempfile.TemporaryDirectory(prefix="genreflow-serving-")
    with scratch:
        folder = pathlib.Path(scratch.name)  # 0700: it may hold a private key
        for file_name, text in config_files(models, batching, tls).items():
            (folder / file_name).write_text(text, encoding="utf-8")
        words = command(
            binary,
            folder,
            port=port,
            rest_port=rest_port,
            poll_seconds=options.poll_seconds,
            batching=batching is not None,
            tls=tls is not None,
        )
        with _ready_file(options) as ready, Child(words, options.grace_seconds) as child:
            probe = _Probe(port, rest_port, tls is not None)
            if _wait_until_serving(child, models, probe, start_seconds):
                scratch.cleanup()  # all is read by now, and this process may end by SIGKILL
                where = f"gRPC at port {port}" + (f", REST at port {rest_port}" * bool(rest_port))
                say(f"TensorFlow Serving ({BINARY}, pid {child.pid}): {where}")
                ready(port, rest_port, child.pid)
            return child.wait()


def _wait_until_serving(
    child: Child, models: Sequence[ModelConfig], probe: _Probe, start_seconds: float
) -> bool:
    """False where it was told to stop before."""
    deadline = time.monotonic() + start_seconds
    missing = [model.name for model in models]
    with probe:
        while not child.told_to_stop:
            ended = child.ended()
            if ended is not None:
                raise EngineError(
                    f"{BINARY} ended {ended} before it served {', '.join(missing)}; its own "
                    "words above say why"
                )
            missing = [model.name for model in models if not probe.serves(model.name)]
            if not missing:
                if probe.answers_rest():
                    return True
                missing = ["REST"]
            if time.monotonic() > deadline:
                raise EngineError(
                    f"{BINARY} did not serve {', '.join(missing)} within {start_seconds:g} "
                    "seconds; its own words above may say why"
                )
            child.pause(POLL_SECONDS)
    return False


class _Probe:
    """Asks the server which versions are available."""

    def __init__(self, port: int, rest_port: int, tls: bool) -> None:
        self._port, self._rest_port, self._tls = port, rest_port, tls
        self._channel: grpc.Channel | None = None

    def __enter__(self) -> _Probe:
        if not self._tls:
            import grpc  # a third of a second

            # No proxy of the environment stands between this machine and itself.
            options = [("grpc.enable_http_proxy", 0)]
            self._channel = grpc.insecure_channel(f"127.0.0.1:{self._port}", options)
        return self

    def __exit__(self, *_: object) -> None:
        if self._channel is not None:
            self._channel.close()

    def answers_rest(self) -> bool:
        """Also where there is to be no REST. It is the last thing to start (server.cc)."""
        return not self._rest_port or _accepts(self._rest_port)

    def serves(self, name: str) -> bool:
        """Raises EngineError where every version of the model has failed to load."""
        # It opens its port only after all models are available (server.cc). With TLS this has to
        # do, as it may want a certificate of clients, which is not here; without, a channel that
        # never sees a closed port has no reason to wait ever longer between its attempts.
        if not _accepts(self._port):
            return False
        if self._channel is None:
            return True
        import grpc

        from serving.protocol.protos import get_model_status_pb2, model_service_pb2_grpc

        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = name
        stub = model_service_pb2_grpc.ModelServiceStub(self._channel)
        try:
            answer = stub.GetModelStatus(request, timeout=5)
        except grpc.RpcError:
            return False  # not listening yet; what is wrong shows when it ends
        statuses = answer.model_version_status
        states = get_model_status_pb2.ModelVersionStatus
        if any(status.state == states.AVAILABLE for status in statuses):
            return True
        failed = [status for status in statuses if status.state == states.END]
        if statuses and len(failed) == len(statuses):
            last = max(failed, key=lambda status: int(status.version))
            raise EngineError(
                f"{BINARY} cannot load version {last.version} of {name}: "
                f"{last.status.error_message or 'it does not say why'}"
            )
        return False


def _needs_ours(options: ServeOptions, environment: Mapping[str, str]) -> str | None:
    """What the options ask for that only our server has, and that cannot be left out."""
    if options.api_key_file:
        return "TensorFlow Serving asks for no API key (--api-key-file)"
    if KEY_VARIABLE in environment:
        return f"TensorFlow Serving asks for no API key ({KEY_VARIABLE} is set)"
    return None


def _warnings(options: ServeOptions, port: int, rest_port: int, tls: Tls | None) -> Iterator[str]:
    ports = f"{port} and {rest_port}" if rest_port else str(port)
    if options.host not in ("0.0.0.0", "::"):
        yield (
            f"note: TensorFlow Serving cannot listen on {options.host} alone: whoever reaches "
            f"this machine reaches port {ports}, and may have it load other models; a firewall, "
            "or serving/docker-compose.yml, keeps them to this machine"
        )
    if tls is not None and options.rest_port != NO_REST:
        yield "note: TensorFlow Serving encrypts gRPC alone, so REST is off"
    defaults = {field.name: field.default for field in dataclasses.fields(ServeOptions)}
    unused = [name for name in _OURS_ALONE if getattr(options, name) != defaults[name]]
    if unused:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in unused)
        yield f"note: TensorFlow Serving has nothing like {names}"


def _port(option: str, wanted: int, other_than: int = 0) -> int:
    """The wanted port, or for 0 one that is free on all addresses.

    Raises:
      EngineError: somebody listens there. (gRPC would share the port with another gRPC server,
        and either would be asked.)
    """
    while True:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("", wanted))
            except OSError as error:
                raise EngineError(f"{option} {wanted}: {error.strerror}; give another") from error
            port = int(probe.getsockname()[1])
        if port != other_than:
            return port


def _accepts(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            return True
    except OSError:
        return False


@contextlib.contextmanager
def _ready_file(options: ServeOptions) -> Iterator[Callable[[int, int, int], None]]:
    """What writes it, given ports and pid. It is there only while something serves."""
    host = "127.0.0.1" if options.host in ("0.0.0.0", "::") else options.host
    target = pathlib.Path(options.ready_file) if options.ready_file else None

    def write(port: int, rest_port: int, pid: int) -> None:
        if target is None:
            return
        told = {"engine": ENGINE, "host": host, "port": port, "rest_port": rest_port, "pid": pid}
        temporary = target.with_name(f".{target.name}.{pid}")
        try:
            temporary.write_text(json.dumps(told), encoding="utf-8")
            temporary.replace(target)
        except OSError as error:
            raise EngineError(f"--ready-file {target}: {error.strerror}") from error

    if target is not None:
        target.unlink(missing_ok=True)
    try:
        yield write
    finally:
        if target is not None:
            target.unlink(missing_ok=True)


_HOW_TO_GET_IT = (
    f"--engine {ENGINE}: no {BINARY} on the PATH. Get it as Google's Debian package "
    "tensorflow-model-server (tensorflow.org/tfx/serving/setup names the apt source), of the "
    f"{LINE} line; or run serving/docker-compose.yml, which needs none; or use --engine genreflow"
)
