"""Setting the version of KServe's InferenceService, and waiting for it."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from components.common.errors import GenreflowError, UsageError
from kubeflow.deploy import inference_service, kubernetes_api
from kubeflow.deploy.inference_service import InferenceService
from kubeflow.deploy.json_api import ApiError
from tests.support import fake_kubernetes as fake
from tests.support.fake_kubernetes import DEPLOYMENT, NAME, NAMESPACE, SERVICE, FakeKubernetes
from tests.support.tls_files import TlsFiles

URI = "s3://bucket/serving/genreflow-kserve/17"


@pytest.fixture
def cluster(tls_files: TlsFiles, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKubernetes]:
    monkeypatch.setattr(inference_service, "_POLL_SECONDS", 0.0)
    server = FakeKubernetes(tls_files)
    yield server
    server.close()


@pytest.fixture
def service(cluster: FakeKubernetes, tmp_path: pathlib.Path) -> InferenceService:
    folder = tmp_path / "account"
    api, namespace = kubernetes_api.connect(cluster.account(folder), str(folder))
    return InferenceService(api, namespace, NAME)


def model_of(cluster: FakeKubernetes) -> dict[str, Any]:
    model: dict[str, Any] = cluster.objects[SERVICE]["spec"]["predictor"]["model"]
    return model


def test_the_uri_is_applied_and_awaited(cluster: FakeKubernetes, service: InferenceService) -> None:
    said: list[str] = []
    assert service.set_storage_uri(URI)
    assert model_of(cluster) == {
        "modelFormat": {"name": "tensorflow", "version": "2"}, "storageUri": URI,
    }  # fmt: skip
    assert cluster.owners == {"genreflow"}
    service.wait(30, said.append)
    assert said == [
        "waiting for InferenceService team-a/genreflow: 1 of 2 pods are new",
        "waiting for InferenceService team-a/genreflow: the model is loading",
    ]
    assert not cluster.steps
    assert {method for method, _, _ in cluster.requests} == {"GET", "PATCH"}


def test_a_version_that_is_set_already_is_only_awaited(
    cluster: FakeKubernetes, service: InferenceService
) -> None:
    model_of(cluster)["storageUri"] = URI
    fake.seen(cluster.objects)
    fake.serving(cluster.objects)
    assert not service.set_storage_uri(URI)
    service.wait(30, print)
    assert {method for method, _, _ in cluster.requests} == {"GET"}


@pytest.mark.parametrize("knative", [False, True])
def test_another_attempt_does_not_take_the_old_state_for_the_new_one(
    knative: bool, cluster: FakeKubernetes, service: InferenceService
) -> None:
    """KServe's controller is down during the first attempt, and later comes back."""
    if knative:
        del cluster.objects[DEPLOYMENT]
    cluster.steps = []
    assert service.set_storage_uri(URI)
    for attempt in (service, InferenceService(service._api, NAMESPACE, NAME)):
        attempt.set_storage_uri(URI)
        with pytest.raises(GenreflowError, match="has not taken up the change yet"):
            attempt.wait(0.06, print)
    assert [method for method, _, _ in cluster.requests].count("PATCH") == 1
    if not knative:
        cluster.steps = [fake.seen, fake.serving]
        assert not attempt.set_storage_uri(URI)
        attempt.wait(30, print)


def test_a_deployment_that_changed_for_another_reason_does_not_serve_the_version(
    cluster: FakeKubernetes, service: InferenceService
) -> None:
    """An autoscaler changes its generation too."""
    cluster.steps = []
    service.set_storage_uri(URI)
    cluster.objects[SERVICE]["status"]["observedGeneration"] = 6
    with pytest.raises(GenreflowError, match="its Deployment has not taken up the change yet"):
        service.wait(0.06, print)


def test_a_rollout_that_kubernetes_gave_up_is_a_failure_at_once(
    cluster: FakeKubernetes, service: InferenceService
) -> None:
    cluster.steps = [fake.seen, fake.stuck]
    service.set_storage_uri(URI)
    with pytest.raises(GenreflowError, match=r"its new pods do not start: ReplicaSet .* timed out"):
        service.wait(30, print)


def test_what_kserve_has_not_seen_is_not_ready(
    cluster: FakeKubernetes, service: InferenceService
) -> None:
    cluster.steps = []
    service.set_storage_uri(URI)
    with pytest.raises(GenreflowError, match=r"not ready after 0\.001 minutes: KServe has not"):
        service.wait(0.06, print)


def not_ready(objects: fake.Objects) -> None:
    fake.seen(objects)
    objects[SERVICE]["status"]["conditions"] = [
        {"type": "PredictorReady", "status": "False"},
        {"type": "Ready", "status": "False", "message": "0/3 nodes:\n no memory"},
    ]


def old_pods(objects: fake.Objects) -> None:
    fake.seen(objects)
    objects[DEPLOYMENT]["status"].update(replicas=3, updatedReplicas=2, availableReplicas=3)


def deployment_unseen(objects: fake.Objects) -> None:
    fake.seen(objects)
    objects[DEPLOYMENT]["status"]["observedGeneration"] = 5


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (not_ready, r"not ready: 0/3 nodes:\\x0a no memory"),
        (old_pods, "1 old pods still run"),
        (deployment_unseen, "its Deployment has not taken up the change yet"),
        (fake.seen, "1 of 2 pods are new"),
    ],
)
def test_a_time_that_is_over_says_what_was_missing(
    cluster: FakeKubernetes,
    service: InferenceService,
    step: Callable[[fake.Objects], None],
    words: str,
) -> None:
    cluster.steps = [step]
    service.set_storage_uri(URI)
    with pytest.raises(GenreflowError, match=words) as caught:
        service.wait(0.3, print)
    assert "kubectl describe inferenceservice -n team-a genreflow" in str(caught.value)


def test_a_model_that_does_not_load_ends_the_waiting(
    cluster: FakeKubernetes, service: InferenceService
) -> None:
    cluster.steps = [fake.seen, fake.load_failed]
    service.set_storage_uri(URI)
    with pytest.raises(GenreflowError, match=r"did not load \(BlockedByFailedLoad\): No model"):
        service.wait(5, print)


@pytest.mark.parametrize("lacks", ["right", "object"])
def test_without_a_deployment_kserves_word_suffices(
    cluster: FakeKubernetes, service: InferenceService, lacks: str
) -> None:
    if lacks == "right":
        cluster.allowed.remove(("get", DEPLOYMENT))
    else:
        del cluster.objects[DEPLOYMENT]

        def seen(objects: fake.Objects) -> None:
            objects[SERVICE]["status"]["observedGeneration"] = 6

        cluster.steps = [seen]
    service.set_storage_uri(URI)
    service.wait(30, print)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda found: found["metadata"].pop("labels"), "has not the label"),
        (lambda found: found["metadata"]["labels"].update({inference_service.LABEL: "shop"}),
         "may serve another model and is left as it is; if it is meant, run kubectl label"),
        (lambda found: found["spec"]["predictor"]["model"].update(modelFormat={"name": "onnx"}),
         "serves the format onnx, not tensorflow"),
        (lambda found: found["spec"].update(predictor={"containers": []}), "format None"),
    ],
)  # fmt: skip
def test_an_object_that_is_not_ours_is_left_as_it_is(
    cluster: FakeKubernetes,
    service: InferenceService,
    change: Callable[[dict[str, Any]], object],
    words: str,
) -> None:
    change(cluster.objects[SERVICE])
    with pytest.raises(UsageError, match=words):
        service.set_storage_uri(URI)
    assert [method for method, _, _ in cluster.requests] == ["GET"]


@pytest.mark.parametrize("verb", ["get", "patch"])
def test_a_missing_right_is_told_of(
    cluster: FakeKubernetes, service: InferenceService, verb: str
) -> None:
    cluster.allowed.remove((verb, SERVICE))
    with pytest.raises(UsageError, match=f"may not {verb} .*components/kserve"):
        service.set_storage_uri(URI)


def test_a_missing_object_is_told_of_and_not_created(
    cluster: FakeKubernetes, service: InferenceService
) -> None:
    del cluster.objects[SERVICE]
    with pytest.raises(UsageError, match=f"{NAMESPACE}/{NAME}: no such object, or no KServe"):
        service.set_storage_uri(URI)
    assert [method for method, _, _ in cluster.requests] == ["GET"]


def test_an_object_that_is_replaced_meanwhile_is_a_conflict(
    cluster: FakeKubernetes, service: InferenceService, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = service.check()
    monkeypatch.setattr(service, "check", lambda: found)
    cluster.objects[SERVICE]["metadata"]["uid"] = "another"
    with pytest.raises(ApiError, match="was replaced meanwhile"):
        service.set_storage_uri(URI)


@pytest.mark.parametrize("status", [429, 503])
def test_an_api_that_is_away_for_a_while_is_waited_for(
    cluster: FakeKubernetes, service: InferenceService, status: int
) -> None:
    said: list[str] = []
    service.set_storage_uri(URI)
    cluster.raw = (status, "text/plain", b"etcd leader changed")

    def say(text: str) -> None:
        said.append(text)
        cluster.raw = None

    service.wait(30, say)
    assert f"answered {status}" in said[0]


def test_outside_a_pod_there_is_no_account(cluster: FakeKubernetes, tmp_path: pathlib.Path) -> None:
    with pytest.raises(GenreflowError, match="no account of a pod"):
        kubernetes_api.connect({}, str(tmp_path / "nowhere"))
    cluster.account(tmp_path / "there")
    with pytest.raises(GenreflowError, match="KUBERNETES_SERVICE_HOST is not set"):
        kubernetes_api.connect({}, str(tmp_path / "there"))


def test_a_certificate_of_another_authority_is_refused(
    cluster: FakeKubernetes, tmp_path: pathlib.Path
) -> None:
    from tests.support.tls_files import write_tls_files

    environment = cluster.account(tmp_path / "account")
    (tmp_path / "other").mkdir()
    other = write_tls_files(tmp_path / "other")
    (tmp_path / "account" / "ca.crt").write_bytes(other.ca.read_bytes())
    api, namespace = kubernetes_api.connect(environment, str(tmp_path / "account"))
    with pytest.raises(ApiError, match="CERTIFICATE_VERIFY_FAILED"):
        InferenceService(api, namespace, NAME).check()
    assert cluster.requests == []
