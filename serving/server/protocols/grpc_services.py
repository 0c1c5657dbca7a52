"""The gRPC side: TensorFlow Serving's two services, and the standard health and reflection.

SessionService, which TensorFlow Serving does not offer either, is UNIMPLEMENTED.
"""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent import futures
from typing import Any, NoReturn

import grpc
import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from serving.protocol import tensors
from serving.protocol.protos import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)
from serving.server.config.errors import ServingError, invalid
from serving.server.config.security import KEY_HEADER, ApiKey, Tls
from serving.server.config.settings import Limits
from serving.server.protocols.handlers import Handlers, Spec

PREDICTION_SERVICE = "tensorflow.serving.PredictionService"
MODEL_SERVICE = "tensorflow.serving.ModelService"
# TensorFlow Serving cuts messages at the same length.
MAX_MESSAGE = 1024
# Threads beside those of Limits.concurrent: they refuse what is too much, and answer the
# short requests (status, health) while all others are busy.
SPARE_THREADS = 16
# Calls that are open at once, as a multiple of the threads; gRPC itself refuses the rest.
CALLS_PER_THREAD = 4
# A reflection call is a stream, and holds a thread as long as its client likes.
MAX_REFLECTION_STREAMS = 4
# A deadline further away is none (gRPC says years for a call without one).
MAX_TIMEOUT_S = 86_400.0


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):  # type: ignore[misc]
    """tensorflow.serving.PredictionService."""

    def __init__(self, handlers: Handlers, limits: Limits) -> None:
        self._handlers = handlers
        self._largest_bytes = limits.message_bytes

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Runs a signature."""
        return _answer(context, lambda: self._predict(request, context))

    def Classify(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Always an error, as of TensorFlow Serving for a model like ours."""

        def work() -> NoReturn:
            self._handlers.classify(Spec.of(request), "GRPC")

        return _answer(context, work)

    def Regress(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Always an error, as of TensorFlow Serving for a model like ours."""

        def work() -> NoReturn:
            self._handlers.regress(Spec.of(request), "GRPC")

        return _answer(context, work)

    def MultiInference(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Always an error, as of TensorFlow Serving for a model like ours."""

        def work() -> NoReturn:
            tasks = [(Spec.of_proto(t.model_spec), t.method_name) for t in request.tasks]
            self._handlers.multi_inference(tasks)

        return _answer(context, work)

    def GetModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """The signatures of a version."""

        def work() -> Any:
            name, version, signatures = self._handlers.metadata(
                Spec.of(request), list(request.metadata_field), "GRPC"
            )
            response = get_model_metadata_pb2.GetModelMetadataResponse()
            response.model_spec.name = name
            response.model_spec.version.value = version
            defined = get_model_metadata_pb2.SignatureDefMap()
            for key, signature in signatures.items():
                defined.signature_def[key].CopyFrom(signature)
            response.metadata["signature_def"].Pack(defined)
            return response

        return _answer(context, work)

    def _predict(self, request: Any, context: grpc.ServicerContext) -> Any:
        answer = self._handlers.predict(
            Spec.of(request),
            lambda signature: self._inputs(request, signature),
            entrypoint="GRPC",
            output_filter=list(request.output_filter),
            timeout_s=_timeout(context),
        )
        response = predict_pb2.PredictResponse()
        response.model_spec.name = answer.name
        response.model_spec.version.value = answer.version
        response.model_spec.signature_name = answer.signature
        for name, values in answer.outputs.items():
            response.outputs[name].CopyFrom(tensors.to_proto(values, typed=True))
        return response

    def _inputs(self, request: Any, signature: Any) -> Mapping[str, npt.NDArray[Any]]:
        """The arrays. One of a name that the signature lacks is not read: whoever runs the
        signature refuses its name, and a few bytes may stand for much memory."""
        arrays: dict[str, npt.NDArray[Any]] = {}
        for name, proto in request.inputs.items():
            if name not in signature.inputs:
                arrays[name] = np.empty(0)
                continue
            try:
                arrays[name] = tensors.to_array(proto, self._largest_bytes)
            except tensors.TensorError as error:
                raise invalid(f"tensor parsing error: {name}: {error}") from error
        return arrays


class ModelService(model_service_pb2_grpc.ModelServiceServicer):  # type: ignore[misc]
    """tensorflow.serving.ModelService."""

    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers

    def GetModelStatus(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """The states of a model's versions."""

        def work() -> Any:
            return status_response(self._handlers, Spec.of(request), "GRPC")

        return _answer(context, work)

    def HandleReloadConfigRequest(  # noqa: N802
        self, request: Any, context: grpc.ServicerContext
    ) -> Any:
        """Replaces the list of models."""

        def work() -> Any:
            self._handlers.reload(request.config)
            response = model_management_pb2.ReloadConfigResponse()
            response.status.SetInParent()
            return response

        return _answer(context, work)


class Health(health.HealthServicer):  # type: ignore[misc]
    """grpc.health.v1: a model is SERVING while one of its versions takes requests, and ""
    while all models are."""

    def __init__(self, available: Callable[[], Mapping[str, bool]]) -> None:
        super().__init__(experimental_non_blocking=True)  # a watcher holds no thread
        self._available = available

    def refresh(self) -> None:
        """Tells those who watch what has changed."""
        models = self._available()
        for name, serving in {**models, "": all(models.values())}.items():
            status = health_pb2.HealthCheckResponse
            self.set(name, status.SERVING if serving else status.NOT_SERVING)

    def Check(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """One state, as of now."""
        self.refresh()
        return super().Check(request, context)


class _Reflection(reflection.ReflectionServicer):  # type: ignore[misc]
    """Reflection, a few streams at once."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(names)
        self._free = threading.BoundedSemaphore(MAX_REFLECTION_STREAMS)

    def ServerReflectionInfo(  # noqa: N802
        self, request_iterator: Iterator[Any], context: grpc.ServicerContext
    ) -> Iterator[Any]:
        """Answers as long as the client asks."""
        if not self._free.acquire(blocking=False):
            context.abort(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"{MAX_REFLECTION_STREAMS} reflection calls are open, as many as are taken",
            )
        try:
            yield from super().ServerReflectionInfo(request_iterator, context)
        finally:
            self._free.release()


class _KeyCheck(grpc.ServerInterceptor):  # type: ignore[misc]
    """Refuses calls without the API key, before their message is read. Health is open, as
    whoever probes a container has no key; it says no more than whether models are served."""

    def __init__(self, key: ApiKey) -> None:
        self._key = key

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Any],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        if handler_call_details.method.startswith("/grpc.health.v1.Health/"):
            return continuation(handler_call_details)
        metadata = dict(handler_call_details.invocation_metadata or ())
        complaint = self._key.complaint(metadata.get(KEY_HEADER))
        if complaint is None:
            return continuation(handler_call_details)

        def refuse(_: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, complaint)
            yield  # a generator, as its kind of handler needs

        return grpc.stream_stream_rpc_method_handler(refuse)


class _Parsing(grpc.ServerInterceptor):  # type: ignore[misc]
    """Refuses bytes that are no message of the method's type. gRPC by itself calls that an
    INTERNAL error, and logs a traceback each time."""

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Any],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        handler = continuation(handler_call_details)
        if handler is None or handler.unary_unary is None:
            return handler
        unreadable = object()

        def read(sent: bytes) -> Any:
            try:
                return handler.request_deserializer(sent)
            except DecodeError:
                return unreadable

        def answer(request: Any, context: grpc.ServicerContext) -> Any:
            if request is unreadable:
                context.abort(
                    grpc.StatusCode.INVALID_ARGUMENT,
                    "the request cannot be parsed: its bytes are no message of the type that "
                    f"{handler_call_details.method} takes",
                )
            return handler.unary_unary(request, context)

        return grpc.unary_unary_rpc_method_handler(answer, read, handler.response_serializer)


def make_server(
    handlers: Handlers, health_service: Health, limits: Limits, key: ApiKey | None
) -> grpc.Server:
    """A server with all services, which listens nowhere yet."""
    threads = limits.concurrent + SPARE_THREADS
    server = grpc.server(
        futures.ThreadPoolExecutor(threads, thread_name_prefix="grpc"),
        interceptors=[*([] if key is None else [_KeyCheck(key)]), _Parsing()],
        options=[
            ("grpc.max_receive_message_length", limits.message_bytes),
            ("grpc.max_send_message_length", limits.message_bytes),
            # Or a second server on the same port would take half of the requests.
            ("grpc.so_reuseport", 0),
        ],
        maximum_concurrent_rpcs=threads * CALLS_PER_THREAD,
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        PredictionService(handlers, limits), server
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(handlers), server)
    health_pb2_grpc.add_HealthServicer_to_server(health_service, server)
    names = (PREDICTION_SERVICE, MODEL_SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME)
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(_Reflection(names), server)
    return server


def listen(server: grpc.Server, address: str, tls: Tls | None) -> int:
    """Binds the address (`host:port`) and returns the port.

    Raises:
      OSError: it cannot be bound.
    """
    try:
        if tls is None:
            port = server.add_insecure_port(address)
        else:
            credentials = grpc.ssl_server_credentials(
                [(tls.key, tls.cert)], tls.client_ca, tls.client_ca is not None
            )
            port = server.add_secure_port(address, credentials)
    except RuntimeError as error:  # gRPC's own, without a reason
        raise OSError(f"cannot listen on {address}") from error
    if not port:
        raise OSError(f"cannot listen on {address}")
    return int(port)


def status_response(handlers: Handlers, spec: Spec, entrypoint: Any) -> Any:
    """GetModelStatusResponse, which REST shows as JSON."""
    response = get_model_status_pb2.GetModelStatusResponse()
    for found in handlers.status(spec, entrypoint):
        status = response.model_version_status.add()
        status.version = found.version
        status.state = found.state.value
        status.status.error_code = found.code.value[0]
        status.status.error_message = found.message
    return response


def _answer(context: grpc.ServicerContext, work: Callable[[], Any]) -> Any:
    """The response of `work`, or its error as a status."""
    if not context.is_active():
        context.abort(grpc.StatusCode.CANCELLED, "nobody waits for the answer any more")
    try:
        return work()
    except ServingError as error:
        code, message = error.code, shortened(error.message)
    except Exception:  # whatever a library raises: the caller gets a status, and no details
        traceback.print_exc(file=sys.stderr)
        code, message = grpc.StatusCode.INTERNAL, "the server failed; its log says why"
    context.abort(code, message)
    return None


def shortened(message: str) -> str:
    """A message as long as TensorFlow Serving's may be, in which nothing acts on a terminal:
    it may quote the request."""
    shown = message[: MAX_MESSAGE + 1]
    shown = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in shown)
    return shown if len(shown) <= MAX_MESSAGE else shown[:MAX_MESSAGE] + "...TRUNCATED"


def _timeout(context: grpc.ServicerContext) -> float | None:
    left = context.time_remaining()
    return None if left is None or left > MAX_TIMEOUT_S else float(left)
