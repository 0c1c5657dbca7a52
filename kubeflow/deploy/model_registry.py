"""Registration of a pushed version in Kubeflow's Model Registry, by its REST API v1alpha3.

Written from api/openapi/model-registry.yaml of kubeflow/model-registry, 0.2.10 to 0.3.8, with
fields that all of them have. A second registration of a version updates the first.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from kubeflow.deploy.json_api import ApiError, JsonApi

_BASE = "/api/model_registry/v1alpha3"
_NOT_FOUND, _CONFLICT = 404, 409


@dataclasses.dataclass(frozen=True)
class PushedVersion:
    """Version to register.

    Attributes:
      model: name of the model, the same for all versions.
      version: name of the version.
      uri: where the version is.
      texts: further facts, such as the run's id.
      numbers: metrics.
    """

    model: str
    version: str
    uri: str
    texts: Mapping[str, str]
    numbers: Mapping[str, float]


def register(api: JsonApi, pushed: PushedVersion) -> str:
    """Register a version with its model; return the id of the version in the registry.

    Raises:
      ApiError: the registry does not respond, or refuses.
    """
    properties = {
        **{name: _text(value) for name, value in sorted(pushed.texts.items())},
        **{
            name: {"metadataType": "MetadataDoubleValue", "double_value": value}
            for name, value in sorted(pushed.numbers.items())
        },
    }
    model = _find_or_create(
        api, "registered_model", {"name": pushed.model}, {"description": "Music genres of audio."}
    )
    version = _find_or_create(
        api,
        "model_version",
        {"name": pushed.version, "parentResourceId": model},
        {"registeredModelId": model, "customProperties": properties},
        update={"customProperties": properties, "state": "LIVE"},
    )
    artifact = {
        "artifactType": "model-artifact",
        "uri": pushed.uri,
        "modelFormatName": "tensorflow",
        "modelFormatVersion": "2",
        "state": "LIVE",  # an update without it makes the state UNKNOWN
    }
    _find_or_create(
        api,
        "model_artifact",
        {"name": f"{pushed.model}-{pushed.version}", "parentResourceId": version},
        artifact,
        update=artifact,
        create_path=f"/model_versions/{version}/artifacts",
    )
    return version


def _text(value: str) -> dict[str, str]:
    return {"metadataType": "MetadataStringValue", "string_value": value}


def _find_or_create(
    api: JsonApi,
    kind: str,
    query: Mapping[str, str],
    content: Mapping[str, Any],
    *,
    update: Mapping[str, Any] | None = None,
    create_path: str = "",
) -> str:
    """Return the id of a resource, created or updated.

    Args:
      api: the registry.
      kind: the resource in the singular, as the paths have it.
      query: what identifies it, with its name.
      content: fields of a new one, besides the name.
      update: fields to set of an existing one; None for none.
      create_path: path that creates it; "" for the kind's own.
    """
    found = _find(api, kind, query)
    if found is None:
        body = {"name": query["name"], **content}
        try:
            return _id(api, api.request("POST", f"{_BASE}{create_path or f'/{kind}s'}", body))
        except ApiError as error:
            # Another run has made it since, or one that was archived has the name.
            found = _find(api, kind, query) if error.status == _CONFLICT else None
            if found is None:
                raise
    if update is not None:
        api.request("PATCH", f"{_BASE}/{kind}s/{found}", update)
    return found


def _find(api: JsonApi, kind: str, query: Mapping[str, str]) -> str | None:
    try:
        return _id(api, api.request("GET", f"{_BASE}/{kind}", query=query))
    except ApiError as error:
        # A server without this API answers 404, too; the creation that follows tells it.
        if error.status == _NOT_FOUND:
            return None
        raise


def _id(api: JsonApi, resource: Mapping[str, Any]) -> str:
    found = resource.get("id")
    if not isinstance(found, str) or not found.isalnum():
        raise ApiError(f"{api.name} ({api.url}): the response has no id; is it a Model Registry?")
    return found
