"""Model server for tests of clients: it responds correctly, or fails by a script.

It speaks TensorFlow Serving's protos on a real port, over gRPC and REST, and records requests. Its
model is a formula in NumPy, so that tests of the protocol need no TensorFlow; any GenreModel can
take its place. Loaded by conftest.py.
"""

from __future__ import annotations

import concurrent.futures
import http.server
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt
import pytest

from serving.model.prediction import GenreModel
from serving.protocol.protos import (
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)
from serving.protocol.tensors import to_array, to_proto
from serving.server.protocols.json_requests import decode_base64
from tests.support.serving_toys import CLIP, GENRES, PARAMS

Arrays = dict[str, npt.NDArray[Any]]


class FormulaModel(GenreModel):
    """Model whose probabilities depend on loudness and zero crossings."""

    def __init__(self) -> None:
        super().__init__()
        self.genres, self.model_card = GENRES, {"architecture": "formula", "synthetic": True}
        self.sample_rate_hz, self.clip_samples = PARAMS.sample_rate_hz, CLIP

    def predict_windows(self, windows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        loud = np.abs(windows).mean(axis=1)
        turns = (np.diff(np.signbit(windows), axis=1) != 0).mean(axis=1)
        scores = np.stack([3 * loud, 2 * turns, np.full(len(windows), 0.5)], axis=1)
        powers = np.exp(scores)
        return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


class Scripted:
    """Scripted server.

    Attributes:
      script: one entry per Predict to come: None to respond, or a function of the call's context
        that raises by context.abort (gRPC) or returns (status, body) (REST); if it returns None,
        the server responds.
      describe: outputs of the signature `describe`.
      states: the states of the versions.
      change: changes the outputs of serving_default.
      requests: recorded requests as (signature, inputs, names of outputs).
      headers: headers of each request.
    """

    def __init__(self, model: GenreModel | None = None) -> None:
        self.model = model or FormulaModel()
        self.name, self.version = "genreflow", 7
        self.key: str | None = None
        self.script: list[Callable[..., Any] | None] = []
        self.states = {7: 30}  # AVAILABLE
        self.change: Callable[[Arrays], Arrays] = lambda outputs: outputs
        self.describe: Arrays = {
            "genres": np.array([[name.encode() for name in self.model.genres]], object),
            "sample_rate_hz": np.array([self.model.sample_rate_hz], np.int64),
            "clip_samples": np.array([self.model.clip_samples], np.int64),
            "audio_params": np.array([PARAMS.digest().encode()], object),
            "model_card": np.array([json.dumps(dict(self.model.model_card)).encode()], object),
        }
        self.requests: list[tuple[str, Arrays, tuple[str, ...]]] = []
        self.headers: list[dict[str, str]] = []
        self.port = 0
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()

    @property
    def sizes(self) -> list[int]:
        """Return the number of windows of each request to serving_default."""
        return [len(inputs["waveform"]) for name, inputs, _ in self.requests if not name]

    def outputs(self, signature: str, inputs: Arrays) -> Arrays:
        if signature == "describe":
            return dict(self.describe)
        matrix = self.model.predict_windows(inputs["waveform"])
        names = np.empty(matrix.shape, object)
        names[:] = [name.encode() for name in self.model.genres]
        return self.change({"probabilities": matrix, "genres": names})

    def next_step(self) -> Callable[..., Any] | None:
        with self.lock:
            return self.script.pop(0) if self.script else None


class _Predictions(prediction_service_pb2_grpc.PredictionServiceServicer):  # type: ignore[misc]
    def __init__(self, told: Scripted) -> None:
        self.told = told

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        told, spec = self.told, request.model_spec
        inputs = {name: to_array(proto) for name, proto in request.inputs.items()}
        wanted = tuple(request.output_filter)
        told.requests.append((spec.signature_name, inputs, wanted))
        told.headers.append({key: str(value) for key, value in context.invocation_metadata()})
        if told.key is not None and told.headers[-1].get("x-api-key") != told.key:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "an API key is needed: x-api-key")
        step = told.next_step()
        if step:
            step(context)
        if spec.name != told.name or (spec.HasField("version") and
                                      spec.version.value != told.version):  # fmt: skip
            which = f"Specific({spec.name}, {spec.version.value})"
            context.abort(
                grpc.StatusCode.NOT_FOUND,
                "Servable not found for request: "
                + (which if spec.HasField("version") else f"Latest({spec.name})"),
            )
        with told.lock:
            told.at_once += 1
            told.most_at_once = max(told.most_at_once, told.at_once)
        outputs = told.outputs(spec.signature_name, inputs)
        response = predict_pb2.PredictResponse()
        response.model_spec.CopyFrom(spec)
        response.model_spec.version.value = told.version
        for name, array in outputs.items():
            if not wanted or name in wanted:
                response.outputs[name].CopyFrom(to_proto(array))
        with told.lock:
            told.at_once -= 1
        return response


class _Models(model_service_pb2_grpc.ModelServiceServicer):  # type: ignore[misc]
    def __init__(self, told: Scripted) -> None:
        self.told = told

    def GetModelStatus(  # noqa: N802
        self, request: Any, context: grpc.ServicerContext
    ) -> Any:
        if request.model_spec.name != self.told.name:
            context.abort(
                grpc.StatusCode.NOT_FOUND,
                f"Could not find any versions of model {request.model_spec.name}",
            )
        response = get_model_status_pb2.GetModelStatusResponse()
        for version, state in self.told.states.items():
            response.model_version_status.add(version=version, state=state)
        return response


class _Rest(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    told: Scripted

    def do_GET(self) -> None:
        names = {10: "START", 20: "LOADING", 30: "AVAILABLE", 40: "UNLOADING", 50: "END"}
        if self.path != f"/v1/models/{self.told.name}":
            return self._send(404, {"error": f"Could not find any versions of model {self.path}"})
        states = [
            {"version": str(version), "state": names[state], "status": {}}
            for version, state in self.told.states.items()
        ]
        return self._send(200, {"model_version_status": states})

    def do_POST(self) -> None:
        told = self.told
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        signature = body["signature_name"]
        inputs = {name: _array(value) for name, value in body["inputs"].items()}
        told.requests.append((signature, inputs, ()))
        told.headers.append({key.lower(): value for key, value in self.headers.items()})
        step = told.next_step()
        if step and (answer := step(self)):
            return self._send(*answer)
        paths = (f"/v1/models/{told.name}", f"/v1/models/{told.name}/versions/{told.version}")
        if self.path not in [f"{path}:predict" for path in paths]:
            return self._send(404, {"error": f"Servable not found for request: {self.path}"})
        outputs = told.outputs(signature, inputs)
        return self._send(200, {"outputs": {n: _plain(a) for n, a in outputs.items()}})

    def _send(self, status: int, body: object) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        """Log nothing."""


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *connection: object) -> None:
        """Ignore clients that disconnect."""


def _array(value: list[Any]) -> npt.NDArray[Any]:
    """Convert an input from JSON: numbers, or bytes as {"b64": text}."""
    if isinstance(value[0], dict):
        return np.array([decode_base64(one["b64"]) for one in value], object)
    return np.array(value, np.float32)


def _plain(array: npt.NDArray[Any]) -> Any:
    if array.dtype.kind != "O":
        return array.tolist()
    return np.vectorize(lambda text: text.decode(), otypes=[object])(array).tolist()


def serve_grpc(
    told: Scripted,
    *,
    credentials: grpc.ServerCredentials | None = None,
    options: Mapping[str, int] | None = None,
) -> grpc.Server:
    """Start the server on a free port, and set `told.port`."""
    server = grpc.server(
        concurrent.futures.ThreadPoolExecutor(16),
        options=list({"grpc.max_receive_message_length": 64 << 20, **(options or {})}.items()),
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(_Predictions(told), server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(_Models(told), server)
    where = f"127.0.0.1:{told.port}"
    told.port = (
        server.add_secure_port(where, credentials) if credentials
        else server.add_insecure_port(where)
    )  # fmt: skip
    server.start()
    return server


def serve_rest(told: Scripted) -> http.server.ThreadingHTTPServer:
    """Start the server on a free port, and set `told.port`."""
    handler = type("Handler", (_Rest,), {"told": told})
    server = _Server(("127.0.0.1", 0), handler)
    told.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    """Serve over gRPC."""
    told = Scripted()
    server = serve_grpc(told)
    yield told
    server.stop(0).wait(30)


@pytest.fixture
def scripted_rest() -> Iterator[Scripted]:
    """Serve over REST."""
    told = Scripted()
    server = serve_rest(told)
    yield told
    server.shutdown()
    server.server_close()
