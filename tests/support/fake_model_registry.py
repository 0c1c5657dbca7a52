"""A Model Registry that speaks what its OpenAPI says, and nothing else.

From api/openapi/model-registry.yaml of kubeflow/model-registry, 0.2.10 to 0.3.8: the paths,
required fields, statuses and the error's shape. As its server (internal/server/openapi), it refuses
fields that it does not know (DisallowUnknownFields); only fields of both versions are known here.
"""

from __future__ import annotations

import re
from typing import Any

from tests.support.json_server import Answer, JsonServer

BASE = "/api/model_registry/v1alpha3"
_RESOURCE = {"customProperties", "description", "externalId", "state"}
_ARTIFACT = _RESOURCE | {
    "artifactType", "modelFormatName", "modelFormatVersion", "serviceAccountName", "storageKey",
    "storagePath", "uri",
}  # fmt: skip
_CREATED = {
    "registered_model": _RESOURCE | {"name", "owner"},
    "model_version": _RESOURCE | {"name", "author", "registeredModelId"},
    "model_artifact": _ARTIFACT | {"name", "id"},
}
_REQUIRED = {
    "registered_model": {"name"},
    "model_version": {"name", "registeredModelId"},
    "model_artifact": {"artifactType"},
}
_UPDATED = {
    "registered_model": _RESOURCE | {"owner"},
    "model_version": _RESOURCE | {"author"},
    "model_artifact": _ARTIFACT,
}
_VALUES = {
    "MetadataStringValue": ("string_value", str),
    "MetadataDoubleValue": ("double_value", float),
}


class FakeModelRegistry(JsonServer):
    """Registry in memory.

    Attributes:
      stored: the resources of each kind by id.
      token: bearer token that it wants; "" for none.
      broken: path that answers 500 once for each time that it is in the list.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stored: dict[str, dict[str, dict[str, Any]]] = {kind: {} for kind in _CREATED}
        self.token = ""
        self.broken: list[str] = []
        self._next = 1

    def of(self, kind: str) -> list[dict[str, Any]]:
        return list(self.stored[kind].values())

    def answer(
        self, method: str, path: str, query: dict[str, str], body: Any, headers: dict[str, str]
    ) -> Answer:
        if self.token and headers.get("Authorization") != f"Bearer {self.token}":
            return _error(401, "Unauthorized")
        if path in self.broken:
            self.broken.remove(path)
            return _error(500, "database is locked")
        if not path.startswith(f"{BASE}/"):
            return _error(404, "no such path")
        rest = path.removeprefix(f"{BASE}/")
        if method == "GET" and rest in _CREATED:
            return self._find(rest, query)
        if method == "POST" and rest.removesuffix("s") in ("registered_model", "model_version"):
            return self._create(rest.removesuffix("s"), body, "")
        if method == "POST" and (match := re.fullmatch(r"model_versions/(\d+)/artifacts", rest)):
            if match[1] not in self.stored["model_version"]:
                return _error(404, "no model version found")
            return self._create("model_artifact", body, match[1])
        if method == "PATCH" and (match := re.fullmatch(r"(\w+)s/(\d+)", rest)):
            return self._update(match[1], match[2], body)
        return _error(404, f"{method} {path}: no such operation")

    def _find(self, kind: str, query: dict[str, str]) -> Answer:
        known = {"name", "externalId"} | (
            {"parentResourceId"} if kind != "registered_model" else set()
        )
        assert query.keys() <= known, query
        for found in self.stored[kind].values():
            parent = query.get("parentResourceId", found["parent"])
            if found["name"] == query["name"] and found["parent"] == parent:
                return 200, _shown(found)
        return _error(404, f"no {kind} found")

    def _create(self, kind: str, body: dict[str, Any], parent: str) -> Answer:
        if problem := _problem(body, _CREATED[kind], _REQUIRED[kind]):
            return _error(400, problem)
        parent = parent or body.get("registeredModelId", "")
        if kind == "model_version" and parent not in self.stored["registered_model"]:
            return _error(400, "invalid registered model id")
        for other in self.stored[kind].values():
            if (other["name"], other["parent"]) == (body.get("name"), parent):
                return _error(409, f"{kind} with name {body['name']} already exists")
        identifier = str(self._next)
        self._next += 1
        self.stored[kind][identifier] = {**body, "id": identifier, "parent": parent}
        return 201, _shown(self.stored[kind][identifier])

    def _update(self, kind: str, identifier: str, body: dict[str, Any]) -> Answer:
        if identifier not in self.stored.get(kind, {}):
            return _error(404, f"no {kind} found")
        if problem := _problem(body, _UPDATED[kind], set()):
            return _error(400, problem)
        # As 0.3.8 does, whose artifacts have this default.
        default = {"state": "UNKNOWN"} if kind == "model_artifact" else {}
        self.stored[kind][identifier].update({**default, **body})
        return 200, _shown(self.stored[kind][identifier])


def _shown(resource: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in resource.items() if key != "parent"}


def _problem(body: dict[str, Any], known: set[str], required: set[str]) -> str:
    if unknown := body.keys() - known:
        return f'json: unknown field "{min(unknown)}"'
    if lacking := required - body.keys():
        return f"required field '{min(lacking)}' is zero value."
    if body.get("artifactType", "model-artifact") != "model-artifact":
        return "unsupported artifact type"
    for name, value in body.get("customProperties", {}).items():
        key, kind = _VALUES[value["metadataType"]]
        if value.keys() != {"metadataType", key} or not isinstance(value[key], (kind, int)):
            return f"customProperties.{name}: malformed"
    return ""


def _error(status: int, message: str) -> Answer:
    return status, {"code": str(status), "message": message}
