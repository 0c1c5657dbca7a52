"""Server as a whole: models, gRPC and REST, started and stopped together."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Any

from serving.server.config.options import NO_REST
from serving.server.config.security import ServerTls
from serving.server.config_watch import ConfigWatch
from serving.server.listening import bind, bind_error, join_address
from serving.server.metrics import Metrics
from serving.server.protocols.handlers import Handlers
from serving.server.server_settings import ServerSettings

# TensorFlow's import and the first runs of a large network on a slow machine.
LOAD_TIMEOUT_S = 600.0
# Open connections to REST; further ones are answered with 503.
MAX_CONNECTIONS = 1000
BACKLOG = 512


class Server:
    """A model server: call `load`, then `start`; `stop` may be called at any time.

    Attributes:
      manager: the models.
      port: the gRPC port, known after `start`.
      rest_port: the REST port, known after `start`; -1 without REST.
    """

    def __init__(self, settings: ServerSettings, on_event: Callable[[str], None]) -> None:
        """Make everything, and start nothing yet.

        Args:
          settings: the server's settings.
          on_event: called with a line of text for each event of a version, from any thread.
        """
        # Imported late: they take seconds, and the first printed line should not wait for them.
        from serving.server.models.manager import ModelManager
        from serving.server.protocols import grpc_services, rest

        self._settings = settings
        self._on_event = on_event
        self._metrics = Metrics()
        self.manager = ModelManager(
            settings.models,
            batching=settings.batching,
            limits=settings.limits,
            poll_seconds=settings.options.poll_seconds,
            on_event=self._report_event,
            on_batch=self._metrics.batch,
        )
        handlers = Handlers(self.manager, settings.limits, self._metrics, settings.reload_policy)
        self._metrics.show_queue(self.manager.waiting)
        self._metrics.show_versions(handlers.available_versions)
        self._health = grpc_services.Health(handlers.available)
        self._grpc = grpc_services.make_server(
            handlers, self._health, settings.limits, settings.api_key
        )
        self._rest = rest.Rest(handlers, self._metrics, settings.limits, settings.api_key)
        self._watch = self._config_watch()
        self._http: _HttpThread | None = None
        self._loaded = self._started = False
        self.port = 0
        self.rest_port = NO_REST

    @property
    def answered(self) -> int:
        """Return how many requests were answered."""
        return self._metrics.answered

    def load(self, timeout_s: float = LOAD_TIMEOUT_S) -> None:
        """Load the models and wait until each has a version that can take requests.

        Raises:
          ModelFolderError: a model cannot be loaded.
        """
        self._loaded = True
        self.manager.start()
        self.manager.wait_until_available(timeout_s)

    def start(self) -> None:
        """Start to take requests, and set `port` and `rest_port`.

        Raises:
          OptionError: the server cannot listen on an address.
        """
        from serving.server.protocols import grpc_services

        options, tls = self._settings.options, self._settings.tls
        if options.rest_port != NO_REST:
            listener = bind(options.host, options.rest_port, "--rest-port")
            self.rest_port = listener.getsockname()[1]
            self._http = _HttpThread(self._rest.app, listener, tls)
        try:
            self.port = grpc_services.listen(
                self._grpc, join_address(options.host, options.port), tls
            )
        except OSError as error:
            raise bind_error(options.host, options.port, "--port", str(error)) from error
        self._health.refresh()
        self._started = True
        self._grpc.start()
        if self._http is not None:
            self._http.start()
        if self._watch is not None:
            self._watch.start()

    def stop(self, grace_seconds: float | None = None) -> None:
        """Reject new requests, wait for those in progress, then unload the models.

        Args:
          grace_seconds: how long requests in progress may take before they are cut off; None
            for the time that the options set.
        """
        options = self._settings.options
        grace = options.grace_seconds if grace_seconds is None else grace_seconds
        if self._watch is not None:
            self._watch.stop()
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

    def _config_watch(self) -> ConfigWatch | None:
        """Return the watch of --model-config-file; None without such a file."""
        options = self._settings.options
        if not options.model_config_file or not options.config_poll_seconds:
            return None
        return ConfigWatch(
            options.model_config_file,
            self._settings.models,
            poll_seconds=options.config_poll_seconds,
            reload=self.manager.reload,
            served=self.manager.served,
            on_event=self._report_event,
        )

    def _report_event(self, text: str) -> None:
        self._on_event(text)
        if self._started:
            self._health.refresh()


class _HttpThread:
    """Thread that runs uvicorn with its own event loop and without signal handlers."""

    def __init__(self, app: Any, listener: socket.socket, tls: ServerTls | None) -> None:
        import ssl

        import uvicorn

        from serving.server.protocols.http_protocol import server_config

        mutual = tls is not None and bool(tls.client_ca_path)
        self._listener = listener
        self._uvicorn = uvicorn.Server(
            server_config(
                app,
                max_connections=MAX_CONNECTIONS,
                backlog=BACKLOG,
                ssl_certfile=tls.cert_path if tls else None,
                ssl_keyfile=tls.key_path if tls else None,
                ssl_ca_certs=tls.client_ca_path if tls and mutual else None,
                ssl_cert_reqs=ssl.CERT_REQUIRED if mutual else ssl.CERT_NONE,
            )
        )
        self._thread = threading.Thread(target=self._run, name="rest", daemon=True)

    def start(self) -> None:
        """Start to listen and to answer."""
        self._listener.listen(BACKLOG)
        self._thread.start()

    def stop(self, grace_seconds: float) -> None:
        """End the thread once its requests are answered, at the latest after the grace period."""
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
