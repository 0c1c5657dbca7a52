"""A server as a whole: its models, gRPC and REST, started and stopped together."""

from __future__ import annotations

import dataclasses
import errno
import ipaddress
import pathlib
import socket
import threading
from collections.abc import Callable
from typing import Any

from serving.model import model_files
from serving.server.config import security
from serving.server.config.options import NO_REST, OptionError, ServeOptions
from serving.server.config.settings import Batching, Limits, ModelConfig
from serving.server.metrics import Metrics
from serving.server.models import reload_config
from serving.server.protocols.handlers import Handlers, ReloadPolicy

# TensorFlow's import and the first runs of a large network on a slow machine.
LOAD_TIMEOUT_S = 600.0
# Connections to REST that may be open at once; a further one is answered 503.
MAX_CONNECTIONS = 1000
BACKLOG = 512


@dataclasses.dataclass(frozen=True)
class ServerSettings:
    """What a server needs to know, read and checked."""

    models: tuple[ModelConfig, ...]
    reloads: ReloadPolicy
    host: str = "127.0.0.1"
    port: int = 0
    rest_port: int = 0
    batching: Batching | None = None
    limits: Limits = dataclasses.field(default_factory=Limits)
    poll_seconds: float = 1.0
    tls: security.Tls | None = None
    api_key: security.ApiKey | None = None
    grace_seconds: float = 15.0

    @classmethod
    def of(cls, options: ServeOptions, environment_key: str | None) -> ServerSettings:
        """Reads the files that the options name.

        Args:
          options: as typed.
          environment_key: the value of GENREFLOW_API_KEY.

        Raises:
          OptionError: a file or address cannot be used.
          ModelFolderError: a model's folder holds no complete version.
        """
        tls = security.read_tls(options.tls_cert, options.tls_key, options.tls_client_ca)
        key = security.read_api_key(options.api_key_file, environment_key)
        if options.model_config_file:
            models = tuple(reload_config.read_config_file(options.model_config_file))
        else:
            models = (options.model_config(),)
        roots = tuple(model.base_path for model in models)
        if options.model_root:
            root = pathlib.Path(options.model_root)
            if not root.is_dir():
                raise OptionError(f"--model-root {options.model_root}: no such folder")
            roots = (root.absolute(),)
        rates = [
            model_files.read_assets(
                model_files.resolve_version(model.base_path)
            ).params.sample_rate_hz
            for model in models
        ]
        return cls(
            models=models,
            reloads=ReloadPolicy(options.allow_reload or is_loopback(options.host), roots),
            host=options.host,
            port=options.port,
            rest_port=options.rest_port,
            batching=options.batching_settings(),
            limits=Limits(
                message_bytes=options.max_message_mb << 20,
                waveform_samples=int(options.max_waveform_seconds * max(rates)),
                concurrent=options.max_concurrent,
            ),
            poll_seconds=options.poll_seconds,
            tls=tls,
            api_key=key,
            grace_seconds=options.grace_seconds,
        )


class Server:
    """`load`, `start`, and at last `stop`, which may be called at any time.

    Attributes:
      manager: the models.
      port, rest_port: where requests are taken, known after `start`; -1 for no REST.
    """

    def __init__(self, settings: ServerSettings, on_event: Callable[[str], None]) -> None:
        """Makes everything; nothing runs yet.

        Args:
          settings: as read.
          on_event: told in words what happens to versions, from any thread.
        """
        # Seconds of imports, and the first line should not wait for them.
        from serving.server.models.manager import ModelManager
        from serving.server.protocols import grpc_services, rest

        self._settings = settings
        self._on_event = on_event
        self._metrics = Metrics()
        self.manager = ModelManager(
            settings.models,
            batching=settings.batching,
            limits=settings.limits,
            poll_seconds=settings.poll_seconds,
            on_event=self._happened,
            on_batch=self._metrics.batch,
        )
        handlers = Handlers(self.manager, settings.limits, self._metrics, settings.reloads)
        self._metrics.show_queue(self.manager.waiting)
        self._metrics.show_versions(handlers.available_versions)
        self._health = grpc_services.Health(handlers.available)
        self._grpc = grpc_services.make_server(
            handlers, self._health, settings.limits, settings.api_key
        )
        self._rest = rest.Rest(handlers, self._metrics, settings.limits, settings.api_key)
        self._http: _HttpThread | None = None
        self._loaded = self._started = False
        self.port = 0
        self.rest_port = NO_REST

    @property
    def answered(self) -> int:
        """How many requests were answered."""
        return self._metrics.answered

    def load(self, timeout_s: float = LOAD_TIMEOUT_S) -> None:
        """Loads the models and waits until each has a version that takes requests.

        Raises:
          ModelFolderError: one cannot be loaded.
        """
        self._loaded = True
        self.manager.start()
        self.manager.wait_until_available(timeout_s)

    def start(self) -> None:
        """Takes requests from now on; `port` and `rest_port` are then known.

        Raises:
          OptionError: an address cannot be listened on.
        """
        from serving.server.protocols import grpc_services

        settings = self._settings
        if settings.rest_port != NO_REST:
            listener = bind(settings.host, settings.rest_port, "--rest-port")
            self.rest_port = listener.getsockname()[1]
            self._http = _HttpThread(self._rest.app, listener, settings)
        try:
            self.port = grpc_services.listen(
                self._grpc, address(settings.host, settings.port), settings.tls
            )
        except OSError as error:
            raise _not_bound(settings.host, settings.port, "--port", str(error)) from error
        self._health.refresh()
        self._started = True
        self._grpc.start()
        if self._http is not None:
            self._http.start()

    def stop(self, grace_seconds: float | None = None) -> None:
        """Takes no new requests, waits for those in work, lets the models go.

        Args:
          grace_seconds: how long those in work may take; None for the settings' own. What
            is not done then is cut off.
        """
        grace = self._settings.grace_seconds if grace_seconds is None else grace_seconds
        self._health.enter_graceful_shutdown()
        stopped = self._grpc.stop(grace)
        if self._http is not None:
            self._http.stop(grace)
        if self._started:
            stopped.wait(grace + 5)
        self._rest.close()
        if self._loaded:
            self._loaded = False
            self.manager.stop()

    def _happened(self, words: str) -> None:
        self._on_event(words)
        if self._started:
            self._health.refresh()


class _HttpThread:
    """uvicorn in a thread of its own, with its own loop and without signal handlers."""

    def __init__(self, app: Any, listener: socket.socket, settings: ServerSettings) -> None:
        import ssl

        import uvicorn

        from serving.server.protocols.http_protocol import TimedHttp

        tls = settings.tls
        mutual = tls is not None and bool(tls.client_ca_path)
        self._listener = listener
        self._uvicorn = uvicorn.Server(
            uvicorn.Config(
                app,
                http=TimedHttp,
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="error",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                limit_concurrency=MAX_CONNECTIONS,
                backlog=BACKLOG,
                ssl_certfile=tls.cert_path if tls else None,
                ssl_keyfile=tls.key_path if tls else None,
                ssl_ca_certs=tls.client_ca_path if tls and mutual else None,
                ssl_cert_reqs=ssl.CERT_REQUIRED if mutual else ssl.CERT_NONE,
            )
        )
        self._thread = threading.Thread(target=self._run, name="rest", daemon=True)

    def start(self) -> None:
        """Connections are taken from now on; the listener holds those that come earlier."""
        self._listener.listen(BACKLOG)
        self._thread.start()

    def stop(self, grace_seconds: float) -> None:
        """Ends the thread once its requests are answered, or the time is over."""
        if not self._thread.is_alive():
            self._listener.close()
            return
        self._uvicorn.should_exit = True
        self._thread.join(grace_seconds)
        if self._thread.is_alive():
            self._uvicorn.force_exit = True
            self._thread.join(5)

    def _run(self) -> None:
        self._uvicorn.run(sockets=[self._listener])


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def address(host: str, port: int) -> str:
    """host:port, with an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def bind(host: str, port: int, option: str) -> socket.socket:
    """A socket on the address that does not listen yet.

    Raises:
      OptionError: the port is taken or not allowed, or the host is not of this machine.
    """
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        made = socket.socket(family, kind, protocol)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(where)
        except OSError:
            made.close()
            raise
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        if _is_about_host(error):
            raise OptionError(
                f"--host {host}: cannot listen there ({why}); give an address of this machine, or "
                "0.0.0.0 for every one"
            ) from error
        raise _not_bound(host, port, option, why) from error
    return made


def check_ports(settings: ServerSettings) -> None:
    """Tells of a port that is taken before the models are loaded, which takes long.

    Raises:
      OptionError: as `bind` does.
    """
    ports = [(settings.port, "--port")]
    if settings.rest_port != NO_REST:
        ports.append((settings.rest_port, "--rest-port"))
    for port, option in ports:
        bind(settings.host, port, option).close()


def _is_about_host(error: Exception) -> bool:
    """Whether another port would not help."""
    unknown = isinstance(error, socket.gaierror | UnicodeError)
    return unknown or getattr(error, "errno", None) == errno.EADDRNOTAVAIL


def _not_bound(host: str, port: int, option: str, why: str) -> OptionError:
    return OptionError(
        f"{option} {port}: cannot listen on {address(host, port)} ({why}); choose another, or 0 "
        "for a free one"
    )
