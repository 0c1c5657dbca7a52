"""Deployment of a version on KServe: sets an InferenceService's `storageUri`, and waits for it.

Fields of the status are those of pkg/apis/serving/v1beta1/inference_service_status.go of
kserve/kserve, 0.13 to 0.20.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from components.common.errors import GenreflowError, UsageError
from components.common.escape import printable
from kubeflow.deploy.json_api import ApiError, JsonApi

FIELD_MANAGER = "genreflow"
# Consent of whoever made the InferenceService; serving/kubernetes/kserve has it.
LABEL, LABEL_VALUE = "app.kubernetes.io/part-of", "genreflow"
_POLL_SECONDS = 5.0
_FORBIDDEN, _NOT_FOUND, _CONFLICT, _THROTTLED = 403, 404, 409, 429
_FAILED_TRANSITIONS = ("BlockedByFailedLoad", "InvalidSpec")
# Our note on the InferenceService: what KServe had seen when `storageUri` was set. With it a later
# attempt of the step tells KServe's old state from the new one.
OBSERVED_BEFORE = "genreflow/observed-generation-before"
# KServe's note on the pods of a Deployment: the model's folder (pkg/constants/constants.go,
# StorageInitializerSourceUriInternalAnnotationKey, 0.13 to 0.20).
SOURCE_URI = "internal.serving.kserve.io/storage-initializer-sourceuri"


class InferenceService:
    """InferenceService of a namespace."""

    def __init__(self, api: JsonApi, namespace: str, name: str) -> None:
        self._api, self._namespace, self.name = api, namespace, name
        group = "/apis/serving.kserve.io/v1beta1"
        self._path = f"{group}/namespaces/{namespace}/inferenceservices/{name}"
        apps = f"/apis/apps/v1/namespaces/{namespace}/deployments"
        self._deployment_path = f"{apps}/{name}-predictor"
        self._uri = ""
        self._changed_from: int | None = None

    def __str__(self) -> str:
        return f"InferenceService {self._namespace}/{self.name}"

    def check(self) -> dict[str, Any]:
        """Return the object, which may be changed.

        Raises:
          UsageError: the object is missing or not ours, or the account may not read it.
          ApiError: the API does not respond.
        """
        found = self._get()
        self._check_ours(found)
        return found

    def set_storage_uri(self, uri: str) -> bool:
        """Set the folder of the model; return whether it was another one.

        Raises:
          UsageError: as check(), or the account may not change it.
          ApiError: the API does not respond, or refuses the change.
        """
        found = self.check()
        self._uri = uri
        if _model(found).get("storageUri") == uri:
            before = (found["metadata"].get("annotations") or {}).get(OBSERVED_BEFORE, "")
            self._changed_from = int(before) if before.isdecimal() else None
            return False
        self._changed_from = _observed(found)
        wanted = {
            "apiVersion": "serving.kserve.io/v1beta1",
            "kind": "InferenceService",
            # With the uid an object that was deleted or replaced meanwhile is a conflict; without
            # it, the server would create a new one.
            "metadata": {
                "name": self.name,
                "uid": found["metadata"]["uid"],
                "annotations": {OBSERVED_BEFORE: str(self._changed_from)},
            },
            "spec": {"predictor": {"model": {"storageUri": uri}}},
        }
        try:
            self._api.request(
                "PATCH",
                self._path,
                wanted,
                # The field belongs to whoever applied the object, such as kubectl; the label is
                # the consent to take it over.
                query={"fieldManager": FIELD_MANAGER, "force": "true"},
                content_type="application/apply-patch+yaml",
            )
        except ApiError as error:
            if error.status == _CONFLICT:
                raise ApiError(f"{self} was replaced meanwhile ({error}); run the step again",
                               _CONFLICT) from error  # fmt: skip
            raise self._explained(error, "patch") from error
        return True

    def wait(self, seconds: float, say: Callable[[str], None]) -> None:
        """Wait until the version that was set serves; call set_storage_uri first.

        Args:
          seconds: how long at most.
          say: called with what is waited for, when it changes.

        Raises:
          GenreflowError: the model failed to load, or the time is over.
        """
        end = time.monotonic() + seconds
        said = ""
        while True:
            missing = self._missing()
            if not missing:
                return
            if time.monotonic() >= end:
                raise GenreflowError(
                    f"{self} is not ready after {seconds / 60:g} minutes: {missing}; see "
                    f"kubectl describe inferenceservice -n {self._namespace} {self.name}"
                )
            if missing != said:
                say(f"waiting for {self}: {missing}")
                said = missing
            time.sleep(min(_POLL_SECONDS, max(0.0, end - time.monotonic())))

    def _missing(self) -> str:
        """Return what is missing until the version serves; "" for nothing."""
        try:
            found = self._get()
            if self._changed_from is not None and _observed(found) == self._changed_from:
                return "KServe has not taken up the change yet"
            status = found.get("status") or {}
            model = status.get("modelStatus") or {}
            transition = model.get("transitionStatus", "")
            if transition in _FAILED_TRANSITIONS:
                failure = (model.get("lastFailureInfo") or {}).get("message", "no message")
                raise GenreflowError(
                    f"{self}: the model did not load ({transition}): {printable(str(failure))}"
                )
            ready = _condition(status, "Ready")
            if ready.get("status") != "True":
                reason = printable(str(ready.get("message") or ready.get("reason") or "no reason"))
                return f"not ready: {reason}"
            if transition == "InProgress":
                return "the model is loading"
            return self._rollout()
        except ApiError as error:
            if 400 <= error.status < 500 and error.status != _THROTTLED:
                raise self._explained(error, "get") from error
            return str(error)

    def _rollout(self) -> str:
        """Return what is missing of the Deployment's rollout, as `kubectl rollout status` does.

        KServe's own condition stays true while old pods still serve. Without a Deployment (Knative)
        or without the right to read it, KServe's word suffices.

        Raises:
          GenreflowError: the rollout has failed.
        """
        try:
            found = self._api.request("GET", self._deployment_path)
        except ApiError as error:
            if error.status in (_FORBIDDEN, _NOT_FOUND):
                return ""
            raise
        status, spec = found.get("status") or {}, found.get("spec") or {}
        wanted = spec.get("replicas", 1)
        pods = (spec.get("template") or {}).get("metadata") or {}
        generation = (found.get("metadata") or {}).get("generation", 0)
        if (pods.get("annotations") or {}).get(SOURCE_URI) != self._uri or (
            status.get("observedGeneration", 0) < generation
        ):
            return "its Deployment has not taken up the change yet"
        progress = _condition(status, "Progressing")
        if progress.get("reason") == "ProgressDeadlineExceeded":
            raise GenreflowError(
                f"{self}: its new pods do not start: {printable(str(progress.get('message')))}"
            )
        updated = status.get("updatedReplicas", 0)
        if updated < wanted or status.get("availableReplicas", 0) < updated:
            return f"{min(updated, status.get('availableReplicas', 0))} of {wanted} pods are new"
        if status.get("replicas", 0) > updated:
            return f"{status['replicas'] - updated} old pods still run"
        return ""

    def _get(self) -> dict[str, Any]:
        try:
            return self._api.request("GET", self._path)
        except ApiError as error:
            raise self._explained(error, "get") from error

    def _check_ours(self, found: Mapping[str, Any]) -> None:
        labels = (found.get("metadata") or {}).get("labels") or {}
        if labels.get(LABEL) != LABEL_VALUE:
            raise UsageError(
                f"{self} has not the label {LABEL}={LABEL_VALUE}, so it may serve another model "
                "and is left as it is; if it is meant, run kubectl label inferenceservice -n "
                f"{self._namespace} {self.name} {LABEL}={LABEL_VALUE} --overwrite"
            )
        kind = (_model(found).get("modelFormat") or {}).get("name")
        if kind != "tensorflow":
            raise UsageError(
                f"{self} serves the format {printable(str(kind))}, not tensorflow, and is left as "
                "it is; see serving/kubernetes/kserve/inferenceservice.yaml"
            )

    def _explained(self, error: ApiError, verb: str) -> GenreflowError:
        if error.status == _FORBIDDEN:
            return UsageError(
                f"the run's account may not {verb} {self} ({error}); apply "
                "kubeflow/manifests/components/kserve with this name"
            )
        if error.status == _NOT_FOUND:
            return UsageError(
                f"{self}: no such object, or no KServe in this cluster ({error}); create it once, "
                "from serving/kubernetes/kserve/inferenceservice.yaml"
            )
        return error


def _model(found: Mapping[str, Any]) -> Mapping[str, Any]:
    predictor = (found.get("spec") or {}).get("predictor") or {}
    model: Mapping[str, Any] = predictor.get("model") or {}
    return model


def _observed(found: Mapping[str, Any]) -> int:
    """Return the generation of the Deployment or Knative Service that KServe has seen."""
    return int((found.get("status") or {}).get("observedGeneration") or 0)


def _condition(status: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    for condition in status.get("conditions") or ():
        if condition.get("type") == kind:
            found: Mapping[str, Any] = condition
            return found
    return {}
