"""Transport by gRPC: TensorFlow Serving's PredictionService and ModelService."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import grpc
import numpy.typing as npt

from serving.client.address import Address
from serving.client.errors import CallFailed
from serving.client.transport import MAX_MESSAGE_BYTES, ModelSpec, Response, Tls, read_pem
from serving.protocol.names import API_KEY_HEADER
from serving.protocol.protos import (
    get_model_status_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)
from serving.protocol.tensors import TensorError, to_array, to_proto

# Time for a connection to be made before it counts as failed.
CONNECT_MS = 5000
MIN_RECONNECT_MS, MAX_RECONNECT_MS = 100, 2000


class GrpcTransport:
    """Transport with one channel, which connects on first use and reconnects when needed."""

    def __init__(self, address: Address, *, tls: Tls | None, api_key: str | None) -> None:
        """Prepare the channel, without connecting yet.

        Args:
          address: the server.
          tls: files for an encrypted connection; None for the system's authorities.
          api_key: key to send with every request, or None.

        Raises:
          SettingsError: a file of `tls` cannot be used.
        """
        options: list[tuple[str, int]] = [
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.min_reconnect_backoff_ms", CONNECT_MS),
            ("grpc.initial_reconnect_backoff_ms", MIN_RECONNECT_MS),
            ("grpc.max_reconnect_backoff_ms", MAX_RECONNECT_MS),
            # The client retries itself.
            ("grpc.enable_retries", 0),
            # Channels would otherwise share connections, even with different keys.
            ("grpc.use_local_subchannel_pool", 1),
        ]
        if address.is_loopback:
            # A proxy from http_proxy cannot reach this machine's own ports.
            options.append(("grpc.enable_http_proxy", 0))
        if address.tls:
            files = tls or Tls()
            credentials = grpc.ssl_channel_credentials(
                *(
                    read_pem(path) if path is not None else None
                    for path in (files.ca_cert, files.client_key, files.client_cert)
                )
            )
            self._channel = grpc.secure_channel(address.authority, credentials, options)
        else:
            self._channel = grpc.insecure_channel(address.authority, options)
        self._metadata = ((API_KEY_HEADER, api_key),) if api_key else ()
        self._predictions = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._models = model_service_pb2_grpc.ModelServiceStub(self._channel)

    def predict(
        self,
        spec: ModelSpec,
        signature: str,
        inputs: Mapping[str, npt.NDArray[Any]],
        outputs: Sequence[str],
        timeout_s: float,
    ) -> Response:
        """See Transport."""
        request = predict_pb2.PredictRequest(
            model_spec=_proto(spec, signature),
            inputs={name: to_proto(array) for name, array in inputs.items()},
            output_filter=outputs,
        )
        try:
            response = self._predictions.Predict(
                request, timeout=timeout_s, metadata=self._metadata
            )
            arrays = {
                name: to_array(proto, MAX_MESSAGE_BYTES) for name, proto in response.outputs.items()
            }
        except grpc.RpcError as error:
            raise _failed(error) from error
        except TensorError as error:
            raise CallFailed("BAD_RESPONSE", f"an output cannot be read: {error}") from error
        answered = response.model_spec
        version = answered.version.value if answered.HasField("version") else None
        return Response(arrays, version)

    def states(self, name: str, timeout_s: float) -> list[tuple[int, str]]:
        """See Transport."""
        request = get_model_status_pb2.GetModelStatusRequest(
            model_spec=model_pb2.ModelSpec(name=name)
        )
        try:
            response = self._models.GetModelStatus(
                request, timeout=timeout_s, metadata=self._metadata
            )
        except grpc.RpcError as error:
            raise _failed(error) from error
        states = get_model_status_pb2.ModelVersionStatus.State
        known = states.values()
        return [
            (one.version, states.Name(one.state) if one.state in known else str(one.state))
            for one in response.model_version_status
        ]

    def close(self) -> None:
        """See Transport."""
        self._channel.close()


def _proto(spec: ModelSpec, signature: str) -> model_pb2.ModelSpec:
    proto = model_pb2.ModelSpec(name=spec.name, signature_name=signature)
    if spec.version is not None:
        proto.version.value = spec.version
    elif spec.label is not None:
        proto.version_label = spec.label
    return proto


def _failed(error: grpc.RpcError) -> CallFailed:
    # The errors of a call also are grpc.Call objects, which have these methods.
    return CallFailed(error.code().name, error.details() or "")
