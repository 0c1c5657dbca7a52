"""Registration in a Model Registry."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Iterator

import pytest

from kubeflow.deploy import model_registry
from kubeflow.deploy.json_api import ApiError, JsonApi
from kubeflow.deploy.model_registry import PushedVersion
from tests.support.fake_model_registry import BASE, FakeModelRegistry

PUSHED = PushedVersion(
    "genreflow", "17", "s3://bucket/genreflow/17", {"run_id": "run-1"}, {"accuracy": 0.5}
)


@pytest.fixture
def registry() -> Iterator[FakeModelRegistry]:
    server = FakeModelRegistry()
    yield server
    server.close()


def register(registry: FakeModelRegistry, pushed: PushedVersion = PUSHED, token: str = "") -> str:
    given = (lambda: token) if token else None
    return model_registry.register(JsonApi("the Model Registry", registry.url, token=given), pushed)


def test_a_version_has_name_place_metrics_and_run(registry: FakeModelRegistry) -> None:
    found = register(registry)
    (model,), (version,) = registry.of("registered_model"), registry.of("model_version")
    (artifact,) = registry.of("model_artifact")
    assert model["name"] == "genreflow"
    assert (version["id"], version["name"]) == (found, "17")
    assert version["registeredModelId"] == model["id"]
    assert version["customProperties"] == {
        "run_id": {"metadataType": "MetadataStringValue", "string_value": "run-1"},
        "accuracy": {"metadataType": "MetadataDoubleValue", "double_value": 0.5},
    }
    assert (artifact["uri"], artifact["parent"]) == ("s3://bucket/genreflow/17", found)
    assert artifact["modelFormatName"] == "tensorflow"


def test_a_retry_updates_and_adds_nothing(registry: FakeModelRegistry) -> None:
    first = register(registry)
    changed = dataclasses.replace(PUSHED, uri="s3://other/17", numbers={"accuracy": 0.75})
    assert register(registry, changed) == first
    (version,), (artifact,) = registry.of("model_version"), registry.of("model_artifact")
    assert version["customProperties"]["accuracy"]["double_value"] == 0.75
    assert (artifact["uri"], artifact["state"]) == ("s3://other/17", "LIVE")
    register(registry, dataclasses.replace(PUSHED, version="18"))
    assert len(registry.of("registered_model")) == 1
    assert [one["name"] for one in registry.of("model_version")] == ["17", "18"]


def test_a_retry_goes_on_where_the_first_attempt_broke(registry: FakeModelRegistry) -> None:
    registry.broken.append(f"{BASE}/model_versions/2/artifacts")
    with pytest.raises(ApiError, match="answered 500: database is locked"):
        register(registry)
    register(registry)
    assert [len(registry.of(kind)) for kind in registry.stored] == [1, 1, 1]


def test_a_model_that_another_run_makes_meanwhile_is_taken(registry: FakeModelRegistry) -> None:
    original = registry._find
    hidden = iter([True])

    def find(kind: str, query: dict[str, str]) -> tuple[int, object]:
        if kind == "registered_model" and next(hidden, False):
            registry._create(kind, {"name": "genreflow"}, "")
            return 404, {"code": "404", "message": "none yet"}
        return original(kind, query)

    registry._find = find  # type: ignore[method-assign]
    register(registry)
    assert len(registry.of("registered_model")) == 1


def test_a_token_is_sent_and_a_wrong_one_is_told_of(registry: FakeModelRegistry) -> None:
    registry.token = "hush"
    with pytest.raises(ApiError, match="answered 401: Unauthorized") as caught:
        register(registry, token="stale")
    assert "stale" not in str(caught.value)
    register(registry, token="hush")


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ((200, "text/html", b"<html>log in</html>"), "the response is not JSON"),
        ((200, "application/json", b"[]"), "the response is not JSON"),
        ((200, "application/json", b"{}"), "the response has no id"),
        ((200, "application/json", b'{"id": "../x"}'), "the response has no id"),
        ((302, "text/html", b""), "answered 302"),
        ((503, "text/plain", b"no healthy upstream"), "answered 503"),
        ((404, "text/plain", b"404 page not found"), "answered 404"),
    ],
)
def test_an_answer_that_is_not_the_registrys_is_told_of(
    registry: FakeModelRegistry, raw: tuple[int, str, bytes], words: str
) -> None:
    registry.raw = raw
    with pytest.raises(ApiError, match=words) as caught:
        register(registry)
    assert registry.url in str(caught.value)


def test_a_registry_that_is_away_is_told_of() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(ApiError, match=r"does not respond: .*refused"):
        model_registry.register(JsonApi("the Model Registry", url), PUSHED)
