"""gRPC services: TensorFlow Serving's two, and the standard health and reflection services.

SessionService is UNIMPLEMENTED, as in TensorFlow Serving.
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

from components.common.escape import printable
from serving.protocol import tensors
from serving.protocol.names import API_KEY_HEADER
from serving.protocol.protos import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)
from serving.server.config.security import ApiKey, ServerTls
from serving.server.config.settings import Limits
from serving.server.errors import ServingError, invalid
from serving.server.protocols.handlers import Handlers, RequestTarget

PREDICTION_SERVICE = "tensorflow.serving.PredictionService"
MODEL_SERVICE = "tensorflow.serving.ModelService"
# The length at which TensorFlow Serving cuts messages.
MAX_MESSAGE_CHARACTERS = 1024
# Threads in addition to Limits.concurrent. While all others are busy, they reject further
# requests and answer short ones (status, health).
SPARE_THREADS = 16
# Open calls, as a multiple of the threads; gRPC itself rejects the rest.
CALLS_PER_THREAD = 4
# A reflection call is a stream, and occupies a thread as long as its client likes.
MAX_REFLECTION_STREAMS = 4
# A longer time is no deadline: gRPC reports years for a call without one.
MAX_TIMEOUT_S = 86_400.0
INTERNAL_ERROR = "internal error; see the server's log"


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):  # type: ignore[misc]
    """Service tensorflow.serving.PredictionService."""

    def __init__(self, handlers: Handlers, limits: Limits) -> None:
        self._handlers = handlers
        self._max_bytes = limits.message_bytes

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Run a signature."""
        return _respond(context, lambda: self._predict(request, context))

    def Classify(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Return an error, as TensorFlow Serving does for these models."""

        def work() -> NoReturn:
            self._handlers.classify(RequestTarget.of(request), "GRPC")

        return _respond(context, work)

    def Regress(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Return an error, as TensorFlow Serving does for these models."""

        def work() -> NoReturn:
            self._handlers.regress(RequestTarget.of(request), "GRPC")

        return _respond(context, work)

    def MultiInference(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Return an error, as TensorFlow Serving does for these models."""

        def work() -> NoReturn:
            tasks = [
                (RequestTarget.of_proto(task.model_spec), task.method_name)
                for task in request.tasks
            ]
            self._handlers.multi_inference(tasks)

        return _respond(context, work)

    def GetModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Return the signatures of a version."""

        def work() -> Any:
            name, version, signatures = self._handlers.metadata(
                RequestTarget.of(request), list(request.metadata_field), "GRPC"
            )
            response = get_model_metadata_pb2.GetModelMetadataResponse()
            response.model_spec.name = name
            response.model_spec.version.value = version
            defined = get_model_metadata_pb2.SignatureDefMap()
            for key, signature in signatures.items():
                defined.signature_def[key].CopyFrom(signature)
            response.metadata["signature_def"].Pack(defined)
            return response

        return _respond(context, work)

    def _predict(self, request: Any, context: grpc.ServicerContext) -> Any:
        result = self._handlers.predict(
            RequestTarget.of(request),
            lambda signature: self._inputs(request, signature),
            entrypoint="GRPC",
            output_filter=list(request.output_filter),
            timeout_s=_timeout(context),
        )
        response = predict_pb2.PredictResponse()
        response.model_spec.name = result.name
        response.model_spec.version.value = result.version
        response.model_spec.signature_name = result.signature
        for name, values in result.outputs.items():
            response.outputs[name].CopyFrom(tensors.to_proto(values, typed=True))
        return response

    def _inputs(self, request: Any, signature: Any) -> Mapping[str, npt.NDArray[Any]]:
        """Return the request's arrays by name.

        An array that the signature lacks is not parsed, as its few bytes may need much memory.
        An empty one takes its place, and the check of names rejects the request.
        """
        arrays: dict[str, npt.NDArray[Any]] = {}
        for name, proto in request.inputs.items():
            if name not in signature.inputs:
                arrays[name] = np.empty(0)
                continue
            try:
                arrays[name] = tensors.to_array(proto, self._max_bytes)
            except tensors.TensorError as error:
                raise invalid(f"tensor parsing error: {name}: {error}") from error
        return arrays


class ModelService(model_service_pb2_grpc.ModelServiceServicer):  # type: ignore[misc]
    """Service tensorflow.serving.ModelService."""

    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers

    def GetModelStatus(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Return the states of a model's versions."""

        def work() -> Any:
            return status_response(self._handlers, RequestTarget.of(request), "GRPC")

        return _respond(context, work)

    def HandleReloadConfigRequest(  # noqa: N802
        self, request: Any, context: grpc.ServicerContext
    ) -> Any:
        """Replace the models."""

        def work() -> Any:
            self._handlers.reload(request.config)
            response = model_management_pb2.ReloadConfigResponse()
            response.status.SetInParent()
            return response

        return _respond(context, work)


class Health(health.HealthServicer):  # type: ignore[misc]
    """Service grpc.health.v1.Health.

    A model is SERVING while one of its versions takes requests; "" is SERVING while all models
    are.
    """

    def __init__(self, available: Callable[[], Mapping[str, bool]]) -> None:
        super().__init__(experimental_non_blocking=True)  # a watching client occupies no thread
        self._available = available

    def refresh(self) -> None:
        """Tell watching clients what has changed."""
        models = self._available()
        for name, serving in {**models, "": all(models.values())}.items():
            status = health_pb2.HealthCheckResponse
            self.set(name, status.SERVING if serving else status.NOT_SERVING)

    def Check(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Return a model's health, as of now."""
        self.refresh()
        return super().Check(request, context)


class _Reflection(reflection.ReflectionServicer):  # type: ignore[misc]
    """Reflection service with a limit on the number of open streams."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(names)
        self._free = threading.BoundedSemaphore(MAX_REFLECTION_STREAMS)

    def ServerReflectionInfo(  # noqa: N802
        self, request_iterator: Iterator[Any], context: grpc.ServicerContext
    ) -> Iterator[Any]:
        """Answer until the client ends the stream."""
        if not self._free.acquire(blocking=False):
            context.abort(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"{MAX_REFLECTION_STREAMS} reflection calls are open, the maximum; retry later",
            )
        try:
            yield from super().ServerReflectionInfo(request_iterator, context)
        finally:
            self._free.release()


class _KeyCheck(grpc.ServerInterceptor):  # type: ignore[misc]
    """Interceptor that rejects calls without the API key, before their message is read.

    Health needs no key: probes of a container have none, and it tells only whether models are
    served.
    """

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
        refusal = self._key.refusal(metadata.get(API_KEY_HEADER))
        if refusal is None:
            return continuation(handler_call_details)

        def refuse(_: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, refusal)
            yield  # a generator, as its kind of handler needs

        return grpc.stream_stream_rpc_method_handler(refuse)


class _ParseCheck(grpc.ServerInterceptor):  # type: ignore[misc]
    """Interceptor that rejects bytes that are not a message of the method's type.

    Without it gRPC answers with INTERNAL, and logs a traceback each time.
    """

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

        def respond(request: Any, context: grpc.ServicerContext) -> Any:
            if request is unreadable:
                context.abort(
                    grpc.StatusCode.INVALID_ARGUMENT,
                    "the request cannot be parsed: its bytes are not a message of the type that "
                    f"{handler_call_details.method} expects",
                )
            return handler.unary_unary(request, context)

        return grpc.unary_unary_rpc_method_handler(respond, read, handler.response_serializer)


def make_server(
    handlers: Handlers, health_service: Health, limits: Limits, key: ApiKey | None
) -> grpc.Server:
    """Make a server with all services. It does not listen yet."""
    threads = limits.concurrent + SPARE_THREADS
    server = grpc.server(
        futures.ThreadPoolExecutor(threads, thread_name_prefix="grpc"),
        interceptors=[*([] if key is None else [_KeyCheck(key)]), _ParseCheck()],
        options=[
            ("grpc.max_receive_message_length", limits.message_bytes),
            ("grpc.max_send_message_length", limits.message_bytes),
            # Otherwise a second server on the same port would get half of the requests.
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


def listen(server: grpc.Server, address: str, tls: ServerTls | None) -> int:
    """Bind an address (host:port) and return its port.

    Raises:
      OSError: the address cannot be bound.
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


def status_response(handlers: Handlers, target: RequestTarget, entrypoint: Any) -> Any:
    """Return the GetModelStatusResponse, which REST shows as JSON."""
    response = get_model_status_pb2.GetModelStatusResponse()
    for found in handlers.status(target, entrypoint):
        status = response.model_version_status.add()
        status.version = found.version
        status.state = found.state.value
        status.status.error_code = found.code.value[0]
        status.status.error_message = found.message
    return response


def _respond(context: grpc.ServicerContext, work: Callable[[], Any]) -> Any:
    """Return the response of `work`, or abort the call with its error as a status."""
    if not context.is_active():
        context.abort(grpc.StatusCode.CANCELLED, "the client no longer waits for a response")
    try:
        return work()
    except ServingError as error:
        code, message = error.code, shortened(error.message)
    except Exception:  # a library may raise anything: the client gets a status without details
        traceback.print_exc(file=sys.stderr)
        code, message = grpc.StatusCode.INTERNAL, INTERNAL_ERROR
    context.abort(code, message)
    return None


def shortened(message: str) -> str:
    """Return a message, which may quote the request, printable and of limited length."""
    shown = printable(message[: MAX_MESSAGE_CHARACTERS + 1])
    if len(shown) <= MAX_MESSAGE_CHARACTERS:
        return shown
    return shown[:MAX_MESSAGE_CHARACTERS] + "...TRUNCATED"


def _timeout(context: grpc.ServicerContext) -> float | None:
    left_s = context.time_remaining()
    return None if left_s is None or left_s > MAX_TIMEOUT_S else float(left_s)
