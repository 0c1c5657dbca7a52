"""Client of the checked server: the public gRPC stubs, and HTTP without any proxy."""

from __future__ import annotations

import dataclasses
import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from components.common.escape import printable
from components.common.model_contract import MODEL_NAME
from components.serving_check.outcome import CheckFailed

MAX_MESSAGE_BYTES = 256 << 20
MAX_RESPONSE_BYTES = 16 << 20
MAX_MESSAGE_CHARACTERS = 300
_OPTIONS = (
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.enable_http_proxy", 0),
)


@dataclasses.dataclass(frozen=True)
class PredictResponse:
    """Response of Predict.

    Attributes:
      outputs: tensors by name; strings are arrays of bytes.
      name, version, signature: the model_spec of the response.
    """

    outputs: Mapping[str, npt.NDArray[Any]]
    name: str
    version: int
    signature: str


class ProbeClient:
    """Client of a server with one model; every method raises CheckFailed for a failed request.

    Attributes:
      requests: number of requests sent.
    """

    def __init__(self, host: str, port: int, rest_port: int, deadline_s: float) -> None:
        """Initialize the client.

        Args:
          host: the server's address.
          port: of gRPC.
          rest_port: of REST.
          deadline_s: time limit of each request in seconds.
        """
        self._channel = grpc.insecure_channel(f"{host}:{port}", options=_OPTIONS)
        self._prediction = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._models = model_service_pb2_grpc.ModelServiceStub(self._channel)
        self._rest = f"http://{host}:{rest_port}/v1/models/{MODEL_NAME}"
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self._deadline_s = deadline_s
        self.requests = 0

    def __enter__(self) -> ProbeClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._channel.close()

    def predict(self, signature: str, inputs: Mapping[str, npt.NDArray[Any]]) -> PredictResponse:
        """Return the response of a signature; strings are arrays of bytes."""
        try:
            response = self._call(self._prediction.Predict, _request(signature, inputs))
        except grpc.RpcError as error:
            raise CheckFailed(f"the server returned {_describe(error)}") from error
        try:
            outputs = {name: tf.make_ndarray(proto) for name, proto in response.outputs.items()}
        except (TypeError, ValueError) as error:
            raise CheckFailed(f"the response has an invalid tensor: {error}") from error
        spec = response.model_spec
        return PredictResponse(outputs, spec.name, spec.version.value, spec.signature_name)

    def predict_status(self, signature: str, inputs: Mapping[str, npt.NDArray[Any]]) -> str:
        """Return the name of the status that a signature returns for inputs, such as "OK"."""
        try:
            self._call(self._prediction.Predict, _request(signature, inputs))
        except grpc.RpcError as error:
            return str(error.code().name)
        return "OK"

    def version_states(self) -> dict[int, str]:
        """Return the name of each version's state, such as "AVAILABLE"."""
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = MODEL_NAME
        try:
            response = self._call(self._models.GetModelStatus, request)
        except grpc.RpcError as error:
            raise CheckFailed(f"GetModelStatus: the server returned {_describe(error)}") from error
        names = get_model_status_pb2.ModelVersionStatus.State
        return {item.version: names.Name(item.state) for item in response.model_version_status}

    def signatures(self) -> set[str]:
        """Return the names of the model's signatures, as the server reports them."""
        request = get_model_metadata_pb2.GetModelMetadataRequest()
        request.model_spec.name = MODEL_NAME
        request.metadata_field.append("signature_def")
        try:
            response = self._call(self._prediction.GetModelMetadata, request)
        except grpc.RpcError as error:
            raise CheckFailed(
                f"GetModelMetadata: the server returned {_describe(error)}"
            ) from error
        found = get_model_metadata_pb2.SignatureDefMap()
        try:
            unpacked = response.metadata["signature_def"].Unpack(found)
        except DecodeError:
            unpacked = False
        if not unpacked:
            raise CheckFailed("GetModelMetadata: the response has no signatures")
        return set(found.signature_def)

    def rest_predict(self, signature: str, instances: list[Any]) -> list[Any]:
        """Return the `predictions` of a REST request in row format."""
        body = json.dumps({"signature_name": signature, "instances": instances}).encode()
        request = urllib.request.Request(
            f"{self._rest}:predict", body, {"Content-Type": "application/json"}
        )
        self.requests += 1
        try:
            with self._opener.open(request, timeout=self._deadline_s) as response:
                predictions = json.loads(response.read(MAX_RESPONSE_BYTES))["predictions"]
        except urllib.error.HTTPError as error:
            message = printable(error.read(MAX_MESSAGE_CHARACTERS).decode(errors="replace"))
            raise CheckFailed(f"REST: the server returned {error.code}: {message}") from error
        except (OSError, http.client.HTTPException) as error:
            raise CheckFailed(f"REST: no response ({printable(str(error))})") from error
        except (ValueError, LookupError, TypeError) as error:
            raise CheckFailed(
                f"REST: the response is not JSON with predictions: {error}"
            ) from error
        if not isinstance(predictions, list):
            raise CheckFailed("REST: the response's predictions are not a list")
        return predictions

    def _call(self, method: Any, request: Any) -> Any:
        self.requests += 1
        return method(request, timeout=self._deadline_s)


def _request(signature: str, inputs: Mapping[str, npt.NDArray[Any]]) -> Any:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = MODEL_NAME
    request.model_spec.signature_name = signature
    for name, values in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(np.asarray(values)))
    return request


def _describe(error: Any) -> str:
    """Return the status and the message of a failed call, shortened and escaped."""
    details = printable(" ".join((error.details() or "").split()))[:MAX_MESSAGE_CHARACTERS]
    return f"{error.code().name}: {details}"
