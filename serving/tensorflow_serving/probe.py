"""Probe of a running TensorFlow Serving on this machine."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from serving.server.config.options import OptionError

if TYPE_CHECKING:
    import grpc

BINARY = "tensorflow_model_server"


class EngineError(OptionError):
    """TensorFlow Serving cannot be used; the message says why and what to do."""


class Probe:
    """Client that asks whether models are available. A context manager."""

    def __init__(self, port: int, rest_port: int, *, tls: bool) -> None:
        """Connect to nothing yet.

        Args:
          port: the gRPC port.
          rest_port: the REST port; 0 without REST.
          tls: whether the gRPC port is encrypted.
        """
        self._port, self._rest_port, self._tls = port, rest_port, tls
        self._channel: grpc.Channel | None = None

    def __enter__(self) -> Probe:
        if not self._tls:
            import grpc  # a third of a second

            # This machine's own ports are not reached through a proxy of the environment.
            options = [("grpc.enable_http_proxy", 0)]
            self._channel = grpc.insecure_channel(f"127.0.0.1:{self._port}", options)
        return self

    def __exit__(self, *_: object) -> None:
        if self._channel is not None:
            self._channel.close()

    def answers_rest(self) -> bool:
        """Return whether the REST port is open, or there is to be none.

        REST is the last thing that TensorFlow Serving starts (server.cc).
        """
        return not self._rest_port or _accepts(self._rest_port)

    def serves(self, name: str) -> bool:
        """Return whether a version of the model is available.

        Raises:
          EngineError: every version of the model has failed to load.
        """
        # The port opens only after all models are available (server.cc). With TLS this check has
        # to suffice, as the server may require a client certificate. Without TLS it keeps the
        # channel from ever meeting a closed port, which would make it wait between attempts.
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
            response = stub.GetModelStatus(request, timeout=5)
        except grpc.RpcError:
            return False  # it does not answer yet; the reason of a failure shows when it ends
        statuses = response.model_version_status
        states = get_model_status_pb2.ModelVersionStatus
        if any(status.state == states.AVAILABLE for status in statuses):
            return True
        failed = [status for status in statuses if status.state == states.END]
        if statuses and len(failed) == len(statuses):
            last = max(failed, key=lambda status: int(status.version))
            reason = last.status.error_message or "it gives no reason"
            raise EngineError(f"{BINARY} cannot load version {last.version} of {name}: {reason}")
        return False


def _accepts(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            return True
    except OSError:
        return False
