"""REST API: TensorFlow Serving's HTTP API, and its path for Prometheus.

It differs from TensorFlow Serving in four ways: paths are case-sensitive, paths outside the API
are 404 with a JSON body, request bodies are limited in size (413) and time (408), and bodies in
another coding than gzip are refused (415).
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
import threading
from collections.abc import Callable, Mapping
from concurrent import futures
from typing import Any

import grpc
from fastapi import FastAPI, Request, Response
from google.protobuf import json_format
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.protocol.names import API_KEY_HEADER, METRICS_PATH
from serving.protocol.protos import get_model_metadata_pb2, model_pb2
from serving.server.config.security import ApiKey
from serving.server.config.settings import Limits
from serving.server.errors import ServingError, invalid
from serving.server.metrics import Metrics
from serving.server.protocols import json_requests, json_responses
from serving.server.protocols.grpc_services import INTERNAL_ERROR, shortened, status_response
from serving.server.protocols.handlers import (
    SIGNATURE_DEF,
    Handlers,
    RequestTarget,
    too_many_requests,
)
from serving.server.protocols.request_body import BodyError, BodyMemory, read_body

# TensorFlow Serving's default of --rest_api_timeout_in_ms.
TIMEOUT_S = 30.0
# Threads for short requests, in addition to Limits.concurrent.
SPARE_THREADS = 4
# Parsing JSON holds Python's lock, so more parsers would only need more memory.
MAX_PARSERS = 2
MAX_VERSION = (1 << 63) - 1

HTTP_STATUS = {
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}

_JSON_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"type": "object"}}},
    }
}
_ERROR: dict[str, Any] = {
    "description": "The request failed; `error` says why.",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "properties": {"error": {"type": "string"}},
                "required": ["error"],
            }
        }
    },
}
_RESPONSES: dict[int | str, dict[str, Any]] = {"4XX": _ERROR, "5XX": _ERROR}


class Rest:
    """REST server's application.

    Attributes:
      app: the ASGI application.
    """

    def __init__(
        self, handlers: Handlers, metrics: Metrics, limits: Limits, key: ApiKey | None
    ) -> None:
        self._handlers = handlers
        self._metrics = metrics
        self._max_bytes = limits.message_bytes
        self._max_concurrent = limits.concurrent
        self._free = threading.BoundedSemaphore(limits.concurrent)
        self._bodies = BodyMemory(limits.concurrent * limits.message_bytes)
        self._parsing = threading.BoundedSemaphore(MAX_PARSERS)
        self._threads = futures.ThreadPoolExecutor(
            limits.concurrent + SPARE_THREADS, thread_name_prefix="rest"
        )
        self.app = self._make_app(key)

    def close(self) -> None:
        """End the threads; no further request is handled."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _make_app(self, key: ApiKey | None) -> FastAPI:
        app = FastAPI(
            title="Genreflow's server",
            description="Speaks the REST API of TensorFlow Serving.",
            docs_url=None,
            redoc_url=None,
            redirect_slashes=False,
        )
        if key is not None:
            app.add_middleware(_KeyCheck, key=key)
        app.add_exception_handler(ServingError, _on_serving_error)
        app.add_exception_handler(BodyError, _on_body_error)
        app.add_exception_handler(HTTPException, _on_unknown_path)
        app.add_exception_handler(ClientDisconnect, _on_disconnect)
        app.add_exception_handler(Exception, _on_failure)
        app.get("/v1/models", responses=_RESPONSES)(self._no_name)
        for version in ("", "/versions/{version}", "/labels/{label}"):
            path = f"/v1/models/{{name}}{version}"
            app.get(path, responses=_RESPONSES)(self._status)
            app.get(f"{path}/metadata", responses=_RESPONSES)(self._metadata)
            for verb in (self._predict, self._classify, self._regress):
                app.post(
                    f"{path}:{verb.__name__[1:]}", responses=_RESPONSES, openapi_extra=_JSON_BODY
                )(verb)
        app.get(METRICS_PATH, responses=_RESPONSES)(self._show_metrics)
        return app

    async def _predict(self, request: Request) -> Response:
        target = _target_of(request)

        def work(body: bytes) -> bytes:
            parsed = self._parse("Predict", body)
            format_: json_requests.Format = "row"

            def parse_inputs(signature: Any) -> Any:
                nonlocal format_
                dtypes = {name: info.dtype for name, info in signature.inputs.items()}
                with self._parsing:
                    format_, arrays = json_requests.to_inputs(parsed, dtypes)
                return arrays

            result = self._handlers.predict(
                dataclasses.replace(target, signature=parsed.signature),
                parse_inputs,
                entrypoint="REST",
                timeout_s=TIMEOUT_S,
            )
            return json_responses.to_json(result.outputs, format_)

        return await self._with_body(request, work)

    async def _classify(self, request: Request) -> Response:
        return await self._with_examples(request, "Classify", self._handlers.classify)

    async def _regress(self, request: Request) -> Response:
        return await self._with_examples(request, "Regress", self._handlers.regress)

    async def _status(self, request: Request) -> Response:
        target = _target_of(request)
        found = await self._run(lambda: status_response(self._handlers, target, "REST"))
        return _proto_json(_as_dict(found))

    async def _metadata(self, request: Request) -> Response:
        target = _target_of(request)
        name, version, signatures = await self._run(
            lambda: self._handlers.metadata(target, [SIGNATURE_DEF], "REST")
        )
        model_spec = model_pb2.ModelSpec(name=name)
        model_spec.version.value = version
        defined = get_model_metadata_pb2.SignatureDefMap()
        for key, signature in signatures.items():
            defined.signature_def[key].CopyFrom(signature)
        return _proto_json(
            {
                "model_spec": _as_dict(model_spec),
                "metadata": {SIGNATURE_DEF: _as_dict(defined)},
            }
        )

    async def _no_name(self, request: Request) -> Response:
        raise invalid("Missing model name in request.")

    async def _show_metrics(self, request: Request) -> Response:
        page = await self._run(self._metrics.page)
        return Response(page, media_type="text/plain; version=0.0.4; charset=utf-8")

    async def _with_examples(
        self, request: Request, api: str, handler: Callable[[RequestTarget, Any], Any]
    ) -> Response:
        target = _target_of(request)

        def work(body: bytes) -> bytes:
            parsed = self._parse(api, body)
            examples = parsed.document.get("examples")
            if not isinstance(examples, list) or not examples:
                raise invalid("'examples' must be a list of at least one example")
            handler(dataclasses.replace(target, signature=parsed.signature), "REST")
            raise AssertionError("handlers of examples always raise")

        return await self._with_body(request, work)

    def _parse(self, api: str, body: bytes) -> json_requests.JsonRequest:
        try:
            with self._parsing:
                return json_requests.parse(body)
        except ServingError:
            with self._metrics.request(api, "REST"):
                raise

    async def _with_body(self, request: Request, work: Callable[[bytes], bytes]) -> Response:
        """Read the body, and respond with what `work` makes of it.

        The request counts as in progress once its body is read, so that clients whose bodies
        never arrive do not block others.
        """
        with self._bodies.hold() as take:
            body = await read_body(request, self._max_bytes, take)
            if not self._free.acquire(blocking=False):
                raise too_many_requests(self._max_concurrent)
            try:
                content = await self._run(lambda: work(body))
            finally:
                self._free.release()
        return Response(content, media_type="application/json")

    async def _run(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


class _KeyCheck:
    """Middleware that rejects requests without the API key, before their body is read."""

    def __init__(self, app: ASGIApp, key: ApiKey) -> None:
        self._app = app
        self._key = key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            sent = dict(scope["headers"]).get(API_KEY_HEADER.encode())
            refusal = self._key.refusal(sent)
            if refusal is not None:
                await _error(401, refusal)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _target_of(request: Request) -> RequestTarget:
    """Return the model and version that the path names.

    Raises:
      ServingError: INVALID_ARGUMENT if the path is not one of the API's.
    """
    parts = request.path_params
    name, version, label = parts["name"], parts.get("version"), parts.get("label")
    if ":" in name or (label and ":" in label):
        raise _malformed(request)
    number = None
    if version is not None:
        if not re.fullmatch("[0-9]+", version):
            raise _malformed(request)
        number = int(version) if len(version) <= len(str(MAX_VERSION)) else None
        if number is None or number > MAX_VERSION:
            raise invalid(f"Failed to convert version: {version[:40]} to numeric.")
    return RequestTarget(name, number, label)


def _malformed(request: Request) -> ServingError:
    return invalid(f"Malformed request: {request.method} {request.url.path}")


def _as_dict(message: Any) -> dict[str, Any]:
    # By position: protobuf 3.20 and 6 name differently the option that also prints defaults.
    return dict(json_format.MessageToDict(message, True, preserving_proto_field_name=True))


def _proto_json(value: dict[str, Any]) -> Response:
    text = json.dumps(value, indent=1, ensure_ascii=False)
    return Response(text.encode("utf-8", "replace"), media_type="application/json")


def _error(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    # In ASCII, as a message may quote surrogates, which UTF-8 cannot encode.
    body = json.dumps({"error": shortened(message)})
    return Response(body, status, headers, media_type="application/json")


async def _on_serving_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ServingError)
    return _error(HTTP_STATUS.get(error.code, 500), error.message)


async def _on_body_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, BodyError)
    return _error(error.status, str(error), error.headers)


async def _on_unknown_path(request: Request, error: Exception) -> Response:
    malformed = _malformed(request)
    return _error(400 if request.url.path.startswith("/v1/") else 404, malformed.message)


async def _on_disconnect(request: Request, error: Exception) -> Response:
    return _error(499, "the client closed the connection")


async def _on_failure(request: Request, error: Exception) -> Response:
    return _error(500, INTERNAL_ERROR)
