"""What each request does, whichever protocol it came by. Errors are ServingErrors.

Codes and wording are those of TensorFlow Serving, whose clients act on them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import grpc
import numpy.typing as npt

from components.common.model_contract import SERVING_DEFAULT
from serving.model.model_files import ModelFolderError
from serving.server.config.errors import ServingError, invalid, unavailable
from serving.server.config.settings import Limits
from serving.server.metrics import Metrics, Seen
from serving.server.models import reload_config

if TYPE_CHECKING:
    from serving.server.models.manager import ModelManager, VersionStatus
    from serving.server.models.servable import Servable

Entrypoint = Literal["GRPC", "REST"]
SIGNATURE_DEF = "signature_def"
CLASSIFY = "tensorflow/serving/classify"
REGRESS = "tensorflow/serving/regress"


@dataclasses.dataclass(frozen=True)
class Spec:
    """Which model is asked: the newest version where neither version nor label is given."""

    name: str
    version: int | None = None
    label: str | None = None
    signature: str = ""

    @classmethod
    def of(cls, request: Any) -> Spec:
        """The ModelSpec of a request.

        Raises:
          ServingError: INVALID_ARGUMENT, it has none.
        """
        if not request.HasField("model_spec"):
            raise invalid("Missing ModelSpec")
        return cls.of_proto(request.model_spec)

    @classmethod
    def of_proto(cls, spec: Any) -> Spec:
        """A ModelSpec."""
        choice = spec.WhichOneof("version_choice")
        return cls(
            name=spec.name,
            version=spec.version.value if choice == "version" else None,
            label=spec.version_label if choice == "version_label" else None,
            signature=spec.signature_name,
        )


@dataclasses.dataclass(frozen=True)
class Answer:
    """What Predict says: the version and signature that answered, and the outputs."""

    name: str
    version: int
    signature: str
    outputs: Mapping[str, npt.NDArray[Any]]


@dataclasses.dataclass(frozen=True)
class ReloadPolicy:
    """Whether a request may replace the list of models, and where those may lie."""

    allowed: bool
    roots: tuple[pathlib.Path, ...]


class Handlers:
    """The methods of both services. Thread-safe."""

    def __init__(
        self, manager: ModelManager, limits: Limits, metrics: Metrics, reloads: ReloadPolicy
    ) -> None:
        self._manager = manager
        self._metrics = metrics
        self._reloads = reloads
        self._limit = limits.concurrent
        self._free = threading.BoundedSemaphore(limits.concurrent)

    def predict(
        self,
        spec: Spec,
        inputs_of: Callable[[Any], Mapping[str, npt.NDArray[Any]]],
        *,
        entrypoint: Entrypoint,
        output_filter: Sequence[str] = (),
        timeout_s: float | None = None,
    ) -> Answer:
        """Runs a signature.

        Args:
          spec: which model, version and signature.
          inputs_of: the request's arrays by name, given the signature's definition.
          entrypoint: the protocol.
          output_filter: names of the outputs to return; all where it is empty.
          timeout_s: how long the caller waits; None for ever.

        Raises:
          ServingError: what is wrong with the request; UNAVAILABLE where too many others are
            in work; DEADLINE_EXCEEDED.
        """
        end = None if timeout_s is None else time.monotonic() + timeout_s
        with (
            self._metrics.request("Predict", entrypoint) as seen,
            self._place(),
            self._servable(spec, seen) as servable,
        ):
            name = spec.signature or SERVING_DEFAULT
            signature = servable.signatures.get(name)
            if signature is None:
                raise _no_signature(name, entrypoint)
            seen.signature = name
            inputs = inputs_of(signature)
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                raise ServingError(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")
            rows = max((len(value) for value in inputs.values() if value.ndim), default=1)
            self._metrics.rows(servable.name, rows)
            outputs = servable.predict(name, inputs, output_filter, left)
            return Answer(servable.name, servable.version, name, outputs)

    def classify(self, spec: Spec, entrypoint: Entrypoint) -> NoReturn:
        """Raises ServingError: our signatures are of the predict kind."""
        self._not_of_kind("Classify", "classification", CLASSIFY, spec, entrypoint)

    def regress(self, spec: Spec, entrypoint: Entrypoint) -> NoReturn:
        """Raises ServingError, as `classify` does."""
        self._not_of_kind("Regress", "regression", REGRESS, spec, entrypoint)

    def multi_inference(self, tasks: Sequence[tuple[Spec, str]]) -> NoReturn:
        """Raises ServingError, as `classify` does. `tasks`: model and method name of each."""
        with self._metrics.request("MultiInference", "GRPC") as seen:
            first = tasks[0][0] if tasks else Spec("")
            with self._servable(first, seen) as servable:
                names: set[str] = set()
                for spec, method in tasks:
                    if not spec.name:
                        raise invalid("Found ModelSpec with an empty model name.")
                    if spec.name != first.name:
                        raise invalid(
                            "All ModelSpecs in a MultiInferenceRequest must access the same "
                            "model name."
                        )
                    name = spec.signature or SERVING_DEFAULT
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
                raise invalid("no tasks")

    def metadata(
        self, spec: Spec, fields: Sequence[str], entrypoint: Entrypoint
    ) -> tuple[str, int, Mapping[str, Any]]:
        """(name, version, SignatureDef by name) of the version that is asked for.

        Raises:
          ServingError: INVALID_ARGUMENT for other fields than signature_def; NOT_FOUND.
        """
        with self._metrics.request("GetModelMetadata", entrypoint) as seen:
            if not fields:
                raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
            for field in fields:
                if field != SIGNATURE_DEF:
                    raise invalid(f"Metadata field {field} is not supported")
            with self._servable(spec, seen) as servable:
                return servable.name, servable.version, servable.signatures

    def status(self, spec: Spec, entrypoint: Entrypoint) -> Sequence[VersionStatus]:
        """The states of one version, or of all that are known.

        Raises:
          ServingError: NOT_FOUND.
        """
        with self._metrics.request("GetModelStatus", entrypoint) as seen:
            found = self._manager.status(spec.name, spec.version, spec.label)
            seen.model = spec.name
            return found

    def reload(self, config: Any) -> None:
        """Replaces the list of models by a ModelServerConfig.

        Raises:
          ServingError: PERMISSION_DENIED where reloading is off or a folder is outside the
            roots; INVALID_ARGUMENT, FAILED_PRECONDITION where the list cannot be served.
        """
        with self._metrics.request("HandleReloadConfigRequest", "GRPC"):
            if not self._reloads.allowed:
                raise ServingError(
                    grpc.StatusCode.PERMISSION_DENIED,
                    "reloading is off, as this server can be reached from other machines; "
                    "start it with --allow-reload to take reload requests",
                )
            models = reload_config.to_models(config)
            models = reload_config.within_roots(models, self._reloads.roots)
            try:
                self._manager.reload(models)
            except ModelFolderError as error:
                raise ServingError(grpc.StatusCode.FAILED_PRECONDITION, str(error)) from error

    def available(self) -> Mapping[str, bool]:
        """Each model, and whether one of its versions takes requests."""
        versions = {name for name, _ in self.available_versions()}
        return {name: name in versions for name in self._manager.models()}

    def available_versions(self) -> Sequence[tuple[str, int]]:
        """(model, version) of what takes requests."""
        found = []
        for name in self._manager.models():
            try:
                statuses = self._manager.status(name)
            except ServingError:  # no version yet, or none any more
                continue
            found += [(name, s.version) for s in statuses if s.state.name == "AVAILABLE"]
        return found

    def _not_of_kind(
        self, api: str, kind: str, method: str, spec: Spec, entrypoint: Entrypoint
    ) -> NoReturn:
        with self._metrics.request(api, entrypoint) as seen, self._servable(spec, seen) as servable:
            name = spec.signature or SERVING_DEFAULT
            if name not in servable.signatures:
                raise invalid(f"No signature was found with the name: {name}")
            seen.signature = name
            raise _wrong_kind(kind, method, servable.signatures[name])

    @contextlib.contextmanager
    def _place(self) -> Iterator[None]:
        """One of the places for requests in work; nobody waits for one."""
        if not self._free.acquire(blocking=False):
            raise unavailable(f"{self._limit} requests are in work, as many as are taken; retry")
        try:
            with self._metrics.working():
                yield
        finally:
            self._free.release()

    @contextlib.contextmanager
    def _servable(self, spec: Spec, seen: Seen) -> Iterator[Servable]:
        if not spec.name:
            raise invalid("ModelSpec has no name specified.")
        with self._manager.lease(spec.name, spec.version, spec.label) as servable:
            seen.model = servable.name
            yield servable


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
            f"signatures of the method {method} are not run by this server; use Predict",
        )
    return invalid(
        f"Expected {kind} signature method_name to be {method}. Was: {signature.method_name}"
    )
