"""Handlers of requests, the same for gRPC and REST. Errors are ServingErrors.

Codes and messages are TensorFlow Serving's, as its clients act on them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import grpc
import numpy.typing as npt

from components.common.model_contract import PROBABILITIES, SERVING_DEFAULT
from serving.model.model_files import ModelFolderError
from serving.server.config.model_list import ReloadPolicy, to_models, within_roots
from serving.server.config.settings import Limits
from serving.server.errors import ServingError, invalid, unavailable
from serving.server.metrics import Metrics, RequestLabels

if TYPE_CHECKING:
    from serving.server.models.manager import ModelManager
    from serving.server.models.model_state import VersionStatus
    from serving.server.models.servable import Servable

Entrypoint = Literal["GRPC", "REST"]
SIGNATURE_DEF = "signature_def"
CLASSIFY = "tensorflow/serving/classify"
REGRESS = "tensorflow/serving/regress"


@dataclasses.dataclass(frozen=True)
class RequestTarget:
    """Model, version and signature that a request names.

    Attributes:
      name: the model's name.
      version: a version's number; None for the newest, or if there is a label.
      label: a version's label, or None.
      signature: a signature's name; "" for serving_default.
    """

    name: str
    version: int | None = None
    label: str | None = None
    signature: str = ""

    @classmethod
    def of(cls, request: Any) -> RequestTarget:
        """Return the target that a request's ModelSpec names.

        Raises:
          ServingError: INVALID_ARGUMENT if the request has no ModelSpec.
        """
        if not request.HasField("model_spec"):
            raise invalid("Missing ModelSpec")
        return cls.of_proto(request.model_spec)

    @classmethod
    def of_proto(cls, spec: Any) -> RequestTarget:
        """Return the target that a ModelSpec names."""
        choice = spec.WhichOneof("version_choice")
        return cls(
            name=spec.name,
            version=spec.version.value if choice == "version" else None,
            label=spec.version_label if choice == "version_label" else None,
            signature=spec.signature_name,
        )


@dataclasses.dataclass(frozen=True)
class PredictResult:
    """Result of Predict.

    Attributes:
      name: the model's name.
      version: the version that ran.
      signature: the signature that ran.
      outputs: array by name.
    """

    name: str
    version: int
    signature: str
    outputs: Mapping[str, npt.NDArray[Any]]


class Handlers:
    """Methods of PredictionService and ModelService. Thread-safe."""

    def __init__(
        self,
        manager: ModelManager,
        limits: Limits,
        metrics: Metrics,
        reload_policy: ReloadPolicy,
    ) -> None:
        self._manager = manager
        self._metrics = metrics
        self._reload_policy = reload_policy
        self._max_concurrent = limits.concurrent
        self._free = threading.BoundedSemaphore(limits.concurrent)

    def predict(
        self,
        target: RequestTarget,
        parse_inputs: Callable[[Any], Mapping[str, npt.NDArray[Any]]],
        *,
        entrypoint: Entrypoint,
        output_filter: Sequence[str] = (),
        timeout_s: float | None = None,
    ) -> PredictResult:
        """Run a signature.

        Args:
          target: the model, version and signature to run.
          parse_inputs: returns the request's arrays by name, given the signature's definition.
          entrypoint: the protocol.
          output_filter: names of the outputs to return; empty for all.
          timeout_s: how long the caller waits; None for no limit.

        Raises:
          ServingError: the request is invalid, too many requests are in progress
            (UNAVAILABLE), or it took too long (DEADLINE_EXCEEDED).
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        with (
            self._metrics.request("Predict", entrypoint) as labels,
            self._count_in_progress(),
            self._lease(target, labels) as servable,
        ):
            name = target.signature or SERVING_DEFAULT
            signature = servable.signatures.get(name)
            if signature is None:
                raise _no_signature(name, entrypoint)
            labels.signature = name
            inputs = parse_inputs(signature)
            left_s = None if deadline is None else deadline - time.monotonic()
            if left_s is not None and left_s <= 0:
                raise ServingError(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")
            rows = max((len(value) for value in inputs.values() if value.ndim), default=1)
            self._metrics.rows(servable.name, rows)
            outputs = servable.predict(name, inputs, output_filter, left_s)
            if PROBABILITIES in outputs:
                self._metrics.answer(
                    servable.name, servable.version, servable.genres, outputs[PROBABILITIES]
                )
            return PredictResult(servable.name, servable.version, name, outputs)

    def classify(self, target: RequestTarget, entrypoint: Entrypoint) -> NoReturn:
        """Reject a Classify request: Genreflow's models have signatures for Predict only.

        Raises:
          ServingError: always.
        """
        self._reject_kind("Classify", "classification", CLASSIFY, target, entrypoint)

    def regress(self, target: RequestTarget, entrypoint: Entrypoint) -> NoReturn:
        """Reject a Regress request: Genreflow's models have signatures for Predict only.

        Raises:
          ServingError: always.
        """
        self._reject_kind("Regress", "regression", REGRESS, target, entrypoint)

    def multi_inference(self, tasks: Sequence[tuple[RequestTarget, str]]) -> NoReturn:
        """Reject a MultiInference request: it holds Classify and Regress tasks.

        Args:
          tasks: target and method name of each task.

        Raises:
          ServingError: always.
        """
        with self._metrics.request("MultiInference", "GRPC") as labels:
            first = tasks[0][0] if tasks else RequestTarget("")
            with self._lease(first, labels) as servable:
                names: set[str] = set()
                for target, method in tasks:
                    if not target.name:
                        raise invalid("Found ModelSpec with an empty model name.")
                    if target.name != first.name:
                        raise invalid(
                            "All ModelSpecs in a MultiInferenceRequest must access the same "
                            "model name."
                        )
                    name = target.signature or SERVING_DEFAULT
                    if name in names:
                        raise invalid(f"Duplicate evaluation of signature: {name}")
                    names.add(name)
                    if name not in servable.signatures:
                        raise invalid(f"Requested signature not found in model graph: {name}")
                    kinds = {CLASSIFY: "classification", REGRESS: "regression"}
                    if method not in kinds:
                        raise ServingError(
                            grpc.StatusCode.UNIMPLEMENTED,
                            f"Unsupported signature method_name: {method}",
                        )
                    raise _wrong_kind(kinds[method], method, servable.signatures[name])
                raise invalid("the request has no tasks")

    def metadata(
        self, target: RequestTarget, fields: Sequence[str], entrypoint: Entrypoint
    ) -> tuple[str, int, Mapping[str, Any]]:
        """Return the name, version and signatures of a model.

        Returns:
          The model's name, the version's number, and SignatureDef by name.

        Raises:
          ServingError: INVALID_ARGUMENT for fields other than signature_def; NOT_FOUND.
        """
        with self._metrics.request("GetModelMetadata", entrypoint) as labels:
            if not fields:
                raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
            for field in fields:
                if field != SIGNATURE_DEF:
                    raise invalid(f"Metadata field {field} is not supported")
            with self._lease(target, labels) as servable:
                return servable.name, servable.version, servable.signatures

    def status(self, target: RequestTarget, entrypoint: Entrypoint) -> Sequence[VersionStatus]:
        """Return the status of one version, or of all known versions.

        Raises:
          ServingError: NOT_FOUND.
        """
        with self._metrics.request("GetModelStatus", entrypoint) as labels:
            found = self._manager.status(target.name, target.version, target.label)
            labels.model = target.name
            return found

    def reload(self, config: Any) -> None:
        """Replace the models by those of a ModelServerConfig.

        Raises:
          ServingError: PERMISSION_DENIED if reloading is off or a folder is outside the roots;
            INVALID_ARGUMENT or FAILED_PRECONDITION if the models cannot be served.
        """
        with self._metrics.request("HandleReloadConfigRequest", "GRPC"):
            if not self._reload_policy.allowed:
                raise ServingError(
                    grpc.StatusCode.PERMISSION_DENIED,
                    "reloading is off, because other machines can reach this server; start it "
                    "with --allow-reload to accept reload requests",
                )
            models = within_roots(to_models(config), self._reload_policy.roots)
            try:
                self._manager.reload(models)
            except ModelFolderError as error:
                raise ServingError(grpc.StatusCode.FAILED_PRECONDITION, str(error)) from error

    def available(self) -> Mapping[str, bool]:
        """Return, for each model, whether one of its versions takes requests."""
        versions = {name for name, _ in self.available_versions()}
        return {name: name in versions for name in self._manager.models()}

    def available_versions(self) -> Sequence[tuple[str, int]]:
        """Return the (model, version) pairs that take requests."""
        found = []
        for name in self._manager.models():
            try:
                statuses = self._manager.status(name)
            except ServingError:  # it has no version yet, or none any more
                continue
            found += [(name, s.version) for s in statuses if s.state.name == "AVAILABLE"]
        return found

    def _reject_kind(
        self, api: str, kind: str, method: str, target: RequestTarget, entrypoint: Entrypoint
    ) -> NoReturn:
        with (
            self._metrics.request(api, entrypoint) as labels,
            self._lease(target, labels) as servable,
        ):
            name = target.signature or SERVING_DEFAULT
            if name not in servable.signatures:
                raise invalid(f"No signature was found with the name: {name}")
            labels.signature = name
            raise _wrong_kind(kind, method, servable.signatures[name])

    @contextlib.contextmanager
    def _count_in_progress(self) -> Iterator[None]:
        """Count a request as in progress; reject it at once if there are too many."""
        if not self._free.acquire(blocking=False):
            raise too_many_requests(self._max_concurrent)
        try:
            with self._metrics.working():
                yield
        finally:
            self._free.release()

    @contextlib.contextmanager
    def _lease(self, target: RequestTarget, labels: RequestLabels) -> Iterator[Servable]:
        if not target.name:
            raise invalid("ModelSpec has no name specified.")
        with self._manager.lease(target.name, target.version, target.label) as servable:
            labels.model = servable.name
            yield servable


def too_many_requests(limit: int) -> ServingError:
    """Return the error for a request that exceeds the limit of requests in progress."""
    return unavailable(f"{limit} requests are in progress, the maximum; retry later")


def _no_signature(name: str, entrypoint: Entrypoint) -> ServingError:
    if entrypoint == "REST":
        return invalid(f'Serving signature name: "{name}" not found in signature def')
    return ServingError(
        grpc.StatusCode.FAILED_PRECONDITION, f'Serving signature key "{name}" not found.'
    )


def _wrong_kind(kind: str, method: str, signature: Any) -> ServingError:
    if signature.method_name == method:
        return ServingError(
            grpc.StatusCode.UNIMPLEMENTED,
            f"this server does not run signatures of the method {method}; use Predict",
        )
    return invalid(
        f"Expected {kind} signature method_name to be {method}. Was: {signature.method_name}"
    )
