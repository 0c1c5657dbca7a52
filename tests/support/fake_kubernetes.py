"""The part of the Kubernetes API that a deployment uses, with KServe's objects in it.

Written from Kubernetes' documentation of server-side apply and its API conventions (kind Status),
and from KServe's status (pkg/apis/serving/v1beta1/inference_service_status.go, 0.13 to 0.20).
What is not needed is answered 404.
"""

from __future__ import annotations

import copy
import pathlib
from collections.abc import Callable
from typing import Any

from tests.support.json_server import Answer, JsonServer
from tests.support.tls_files import TlsFiles

NAMESPACE, NAME, TOKEN = "team-a", "genreflow", "token-of-the-account"
SERVICE = f"/apis/serving.kserve.io/v1beta1/namespaces/{NAMESPACE}/inferenceservices/{NAME}"
DEPLOYMENT = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{NAME}-predictor"
# KServe's note on the pods of a Deployment (pkg/constants/constants.go).
SOURCE_URI = "internal.serving.kserve.io/storage-initializer-sourceuri"
Objects = dict[str, dict[str, Any]]


class FakeKubernetes(JsonServer):
    """API server of one namespace with one InferenceService, served by a Deployment.

    Attributes:
      objects: the objects by path.
      owners: field managers of `storageUri`.
      allowed: the operations that the account's Role allows, as (verb, path).
      steps: what the controllers do, one step after each read of the InferenceService that follows
        a change.
    """

    def __init__(self, tls: TlsFiles, steps: list[Callable[[Objects], None]] | None = None) -> None:
        super().__init__((str(tls.server_cert), str(tls.server_key)))
        self._tls = tls
        self.objects: Objects = {SERVICE: _service(), DEPLOYMENT: _deployment()}
        self.owners = {"kubectl-client-side-apply"}
        self.allowed = {("get", SERVICE), ("patch", SERVICE), ("get", DEPLOYMENT)}
        self.steps = [seen, pods_loading, serving] if steps is None else steps
        self.changed = False

    def account(self, folder: pathlib.Path) -> dict[str, str]:
        """Write the account's folder; return the pod's variables."""
        folder.mkdir()
        (folder / "token").write_text(f"{TOKEN}\n")
        (folder / "namespace").write_text(NAMESPACE)
        (folder / "ca.crt").write_bytes(self._tls.ca.read_bytes())
        return {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(self.port)}

    def answer(
        self, method: str, path: str, query: dict[str, str], body: Any, headers: dict[str, str]
    ) -> Answer:
        if headers.get("Authorization") != f"Bearer {TOKEN}":
            return status(401, "Unauthorized", "Unauthorized")
        verb = method.lower()
        if (verb, path) not in self.allowed:
            text = f'User "system:serviceaccount:{NAMESPACE}:runner" cannot {verb} resource'
            return status(403, "Forbidden", f"forbidden: {text}")
        found = self.objects.get(path)
        if method == "GET":
            if found is None:
                return status(404, "NotFound", f'"{path.rpartition("/")[2]}" not found')
            if path == SERVICE and self.changed and self.steps:
                self.steps.pop(0)(self.objects)
            return 200, copy.deepcopy(self.objects.get(path) or found)
        assert method == "PATCH"
        return self._apply(path, found, query, body, headers)

    def _apply(
        self, path: str, found: Any, query: dict[str, str], body: Any, headers: dict[str, str]
    ) -> Answer:
        if headers["Content-Type"] != "application/apply-patch+yaml":
            return status(415, "UnsupportedMediaType", "the body of the request was unknown")
        if not query.get("fieldManager"):
            text = "fieldManager: Required value: is required for apply patch"
            return status(422, "Invalid", text)
        if body["metadata"].keys() != {"name", "uid", "annotations"}:
            return status(400, "BadRequest", "only the annotations are expected here")
        if body["metadata"]["name"] != NAME:
            return status(400, "BadRequest", "metadata.name does not match the URL")
        uid = body["metadata"]["uid"]
        if found is None or found["metadata"]["uid"] != uid:
            return status(409, "Conflict", f"uid mismatch: the provided object specified uid {uid}")
        manager, model = query["fieldManager"], found["spec"]["predictor"]["model"]
        uri = body["spec"]["predictor"]["model"]["storageUri"]
        others = self.owners - {manager}
        if others and model["storageUri"] != uri and query.get("force") != "true":
            text = f'Apply failed with 1 conflict: conflict with "{min(others)}"'
            return status(409, "Conflict", text)
        self.owners = {manager}
        found["metadata"].setdefault("annotations", {}).update(body["metadata"]["annotations"])
        if model["storageUri"] != uri:
            model["storageUri"] = uri
            found["metadata"]["generation"] += 1
            self.changed = True
        return 200, copy.deepcopy(found)


def status(code: int, reason: str, message: str) -> Answer:
    """Return a failure as Kubernetes answers it."""
    return code, {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    }  # fmt: skip


def _service() -> dict[str, Any]:
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": NAME,
            "namespace": NAMESPACE,
            "uid": "0d6f7a64-0000-4000-8000-000000000001",
            "generation": 3,
            "labels": {"app.kubernetes.io/part-of": "genreflow"},
        },
        "spec": {
            "predictor": {
                "model": {
                    "modelFormat": {"name": "tensorflow", "version": "2"},
                    "storageUri": "s3://bucket/serving/genreflow",
                }
            }
        },
        "status": {
            "observedGeneration": 5,
            "conditions": [{"type": "Ready", "status": "True"}],
            "modelStatus": {"transitionStatus": "UpToDate"},
        },
    }


def _deployment() -> dict[str, Any]:
    return {
        "metadata": {"name": f"{NAME}-predictor", "generation": 5},
        "spec": {"replicas": 2, "template": {"metadata": {"annotations": {
            SOURCE_URI: "s3://bucket/serving/genreflow"}}}},
        "status": {
            "observedGeneration": 5, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2,
        },
    }  # fmt: skip


def seen(objects: Objects) -> None:
    """Have KServe change the Deployment; old pods still serve, so the condition stays true."""
    objects[DEPLOYMENT]["metadata"]["generation"] = 6
    uri = objects[SERVICE]["spec"]["predictor"]["model"]["storageUri"]
    objects[DEPLOYMENT]["spec"]["template"]["metadata"]["annotations"][SOURCE_URI] = uri
    objects[DEPLOYMENT]["status"] = {
        "observedGeneration": 6, "replicas": 3, "updatedReplicas": 1, "availableReplicas": 2,
    }  # fmt: skip
    objects[SERVICE]["status"]["observedGeneration"] = 6


def pods_loading(objects: Objects) -> None:
    """Have a new pod copy the model."""
    objects[SERVICE]["status"]["modelStatus"] = {"transitionStatus": "InProgress"}


def serving(objects: Objects) -> None:
    """Have all pods be new ones."""
    objects[SERVICE]["status"]["modelStatus"] = {"transitionStatus": "UpToDate"}
    objects[DEPLOYMENT]["status"] = {
        "observedGeneration": 6, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2,
    }  # fmt: skip


def load_failed(objects: Objects) -> None:
    """Have the new pod fail to load the model, as 0.15 and newer tell beside ready old pods."""
    objects[SERVICE]["status"]["modelStatus"] = {
        "transitionStatus": "BlockedByFailedLoad",
        "lastFailureInfo": {"reason": "ModelLoadFailed", "message": "No model found in s3://x"},
    }


def stuck(objects: Objects) -> None:
    """Have the Deployment give up its rollout, as Kubernetes' controller tells it."""
    objects[DEPLOYMENT]["status"]["conditions"] = [
        {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded",
         "message": 'ReplicaSet "genreflow-predictor-1" has timed out progressing.'}
    ]  # fmt: skip
