"""Requests to the server under trial: the public stubs, and HTTP without any proxy."""

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
MAX_ANSWER_BYTES = 16 << 20
MESSAGE_LETTERS = 300
_OPTIONS = (
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.enable_http_proxy", 0),
)


@dataclasses.dataclass(frozen=True)
class Answer:
    """What Predict returned, and the model that it says has answered."""

    outputs: Mapping[str, npt.NDArray[Any]]
    name: str
    version: int
    signature: str


class Client:
    """Asks a server; each request has `deadline_s` seconds. Counts its `requests`.

    Every method raises CheckFailed where the server does not answer as asked.
    """

    def __init__(self, host: str, port: int, rest_port: int, deadline_s: float) -> None:
        self._channel = grpc.insecure_channel(f"{host}:{port}", options=_OPTIONS)
        self._prediction = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._models = model_service_pb2_grpc.ModelServiceStub(self._channel)
        self._rest = f"http://{host}:{rest_port}/v1/models/{MODEL_NAME}"
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self._deadline_s = deadline_s
        self.requests = 0

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._channel.close()

    def predict(self, signature: str, inputs: Mapping[str, npt.NDArray[Any]]) -> Answer:
        """Calls a signature; strings come and go as arrays of bytes."""
        try:
            answer = self._call(self._prediction.Predict, _request(signature, inputs))
        except grpc.RpcError as error:
            raise CheckFailed(f"the server answered {_words(error)}") from error
        try:
            outputs = {name: tf.make_ndarray(proto) for name, proto in answer.outputs.items()}
        except (TypeError, ValueError) as error:
            raise CheckFailed(f"the server's answer holds no tensor: {error}") from error
        spec = answer.model_spec
        return Answer(outputs, spec.name, spec.version.value, spec.signature_name)

    def refusal(self, signature: str, inputs: Mapping[str, npt.NDArray[Any]]) -> str:
        """The status that a signature refuses inputs with, by its name; "OK" if it does not."""
        try:
            self._call(self._prediction.Predict, _request(signature, inputs))
        except grpc.RpcError as error:
            return str(error.code().name)
        return "OK"

    def states(self) -> dict[int, str]:
        """The state of each version, by its name."""
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = MODEL_NAME
        try:
            answer = self._call(self._models.GetModelStatus, request)
        except grpc.RpcError as error:
            raise CheckFailed(f"GetModelStatus: the server answered {_words(error)}") from error
        names = get_model_status_pb2.ModelVersionStatus.State
        return {item.version: names.Name(item.state) for item in answer.model_version_status}

    def signatures(self) -> set[str]:
        """The names of the signatures that the model has, as the server tells them."""
        request = get_model_metadata_pb2.GetModelMetadataRequest()
        request.model_spec.name = MODEL_NAME
        request.metadata_field.append("signature_def")
        try:
            answer = self._call(self._prediction.GetModelMetadata, request)
        except grpc.RpcError as error:
            raise CheckFailed(f"GetModelMetadata: the server answered {_words(error)}") from error
        found = get_model_metadata_pb2.SignatureDefMap()
        try:
            unpacked = answer.metadata["signature_def"].Unpack(found)
        except DecodeError:
            unpacked = False
        if not unpacked:
            raise CheckFailed("GetModelMetadata: the answer holds no signatures")
        return set(found.signature_def)

    def rest_predict(self, signature: str, instances: list[Any]) -> list[Any]:
        """The `predictions` of a REST request in row format."""
        body = json.dumps({"signature_name": signature, "instances": instances}).encode()
        request = urllib.request.Request(
            f"{self._rest}:predict", body, {"Content-Type": "application/json"}
        )
        self.requests += 1
        try:
            with self._opener.open(request, timeout=self._deadline_s) as answer:
                predictions = json.loads(answer.read(MAX_ANSWER_BYTES))["predictions"]
        except urllib.error.HTTPError as error:
            told = printable(error.read(MESSAGE_LETTERS).decode(errors="replace"))
            raise CheckFailed(f"REST: the server answered {error.code}: {told}") from error
        except (OSError, http.client.HTTPException) as error:
            raise CheckFailed(f"REST: no answer ({printable(str(error))})") from error
        except (ValueError, LookupError, TypeError) as error:
            raise CheckFailed(f"REST: the answer is no JSON with predictions: {error}") from error
        if not isinstance(predictions, list):
            raise CheckFailed("REST: the answer's predictions are no list")
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


def _words(error: Any) -> str:
    """A failed call's status and message, short and inert."""
    details = printable(" ".join((error.details() or "").split()))[:MESSAGE_LETTERS]
    return f"{error.code().name}: {details}"
