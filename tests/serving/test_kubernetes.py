"""Tests of the Kubernetes manifests: schemas, references to each other, and restrictions.

No cluster is used. The schemas are those of kubernetes-validate, in strict mode (no unknown
field), for the oldest and the newest version that the manifests support.
"""

from __future__ import annotations

import copy
import pathlib
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from serving.protocol.names import METRICS_PATH
from tests.support import ROOT

SERVING = ROOT / "serving"
FOLDER = SERVING / "kubernetes"
# unhealthyPodEvictionPolicy exists since 1.27; the newest version is the newest with a schema.
VERSIONS = ("1.29", "1.37")
IMAGE = "tensorflow/serving:2.21.0"
Rendered = Callable[[str], list[dict[str, Any]]]
NAME = {"app.kubernetes.io/name": "genreflow-serving"}

# There is no schema of KServe's types. These are the fields of InferenceService
# (serving.kserve.io/v1beta1) that the manifest uses, with their types; others are refused.
_RESOURCES = {
    "type": "object",
    "additionalProperties": {
        "type": "string",
        "pattern": r"^[0-9]+(\.[0-9]+)?(m|k|M|G|Ki|Mi|Gi)?$",
    },
}
INFERENCE_SERVICE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "properties": {
        "apiVersion": {"const": "serving.kserve.io/v1beta1"},
        "kind": {"const": "InferenceService"},
        "metadata": {
            "type": "object",
            "additionalProperties": False,
            "required": ["name"],
            "properties": {
                "name": {"type": "string", "pattern": "^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$"},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
            },
        },
        "spec": {
            "type": "object",
            "additionalProperties": False,
            "required": ["predictor"],
            "properties": {
                "predictor": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["model"],
                    "properties": {
                        "serviceAccountName": {"type": "string"},
                        "automountServiceAccountToken": {"type": "boolean"},
                        "minReplicas": {"type": "integer", "minimum": 0},
                        "maxReplicas": {"type": "integer", "minimum": 1},
                        "scaleMetric": {"enum": ["cpu", "memory", "concurrency", "rps"]},
                        "scaleTarget": {"type": "integer", "minimum": 1},
                        "timeout": {"type": "integer", "minimum": 1},
                        "securityContext": {"type": "object"},  # a pod's: checked as such
                        "model": {
                            "type": "object",
                            "additionalProperties": False,
                            "required": ["modelFormat", "storageUri"],
                            "properties": {
                                "modelFormat": {
                                    "type": "object",
                                    "additionalProperties": False,
                                    "required": ["name"],
                                    "properties": {
                                        "name": {"const": "tensorflow"},
                                        "version": {"enum": ["1", "2"]},
                                    },
                                },
                                "runtimeVersion": {"type": "string"},
                                "storageUri": {
                                    "type": "string",
                                    "pattern": "^(s3|gs|pvc|hdfs|https)://.+",
                                },
                                "resources": {
                                    "type": "object",
                                    "additionalProperties": False,
                                    "properties": {"requests": _RESOURCES, "limits": _RESOURCES},
                                },
                                "securityContext": {"type": "object"},  # a container's
                            },
                        },
                    },
                }
            },
        },
    },
}


def documents(text: str) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(text) if document]


def base() -> list[dict[str, Any]]:
    listed = yaml.safe_load((FOLDER / "base" / "kustomization.yaml").read_text())["resources"]
    return [
        document
        for name in listed
        if name.endswith(".yaml")
        for document in documents((FOLDER / "base" / name).read_text())
    ]


def one(kind: str, among: list[dict[str, Any]]) -> dict[str, Any]:
    found = [document for document in among if document["kind"] == kind]
    assert len(found) == 1, kind
    return found[0]


@pytest.fixture(scope="module")
def rendered(requires_program: Callable[[str, str], str]) -> Rendered:
    """Return the manifests of each folder, built as `kubectl apply -k` builds them."""
    kustomize = requires_program("kustomize", "sigs.k8s.io/kustomize/kustomize")

    def build(folder: str) -> list[dict[str, Any]]:
        done = subprocess.run(
            [kustomize, "build", str(FOLDER / folder)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return documents(done.stdout)

    return build


def container(among: list[dict[str, Any]]) -> dict[str, Any]:
    containers = one("Deployment", among)["spec"]["template"]["spec"]["containers"]
    assert len(containers) == 1
    first: dict[str, Any] = containers[0]
    return first


def kserve() -> dict[str, Any]:
    text = (FOLDER / "kserve" / "inferenceservice.yaml").read_text()
    return one("InferenceService", documents(text))


def files() -> Iterator[pathlib.Path]:
    yield from sorted(FOLDER.rglob("*.yaml"))


# The schemas


def test_every_file_of_the_base_is_listed() -> None:
    there = {path.name for path in (FOLDER / "base").iterdir()} - {"kustomization.yaml"}
    listed = yaml.safe_load((FOLDER / "base" / "kustomization.yaml").read_text())["resources"]
    assert sorted(listed) == sorted([*there, "../../config"])


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("document", base(), ids=lambda d: f"{d['kind']}-{d['metadata']['name']}")
def test_each_object_is_as_kubernetes_has_it(document: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("folder", ["base", "overlays/gpu", "overlays/batching"])
def test_what_is_put_together_is_too(folder: str, version: str, rendered: Rendered) -> None:
    for document in rendered(folder):
        kubernetes_validate.validate(document, version, strict=True)


def test_an_unknown_field_would_be_seen() -> None:
    document = copy.deepcopy(one("Deployment", base()))
    document["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(document, VERSIONS[0], strict=True)


def test_kserve_gets_what_it_knows() -> None:
    jsonschema.validate(kserve(), INFERENCE_SERVICE)
    broken = kserve()
    broken["spec"]["predictor"]["model"]["storageUrl"] = "s3://x"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, INFERENCE_SERVICE)


def test_runs_on_kubeflow_may_set_its_version() -> None:
    from kubeflow.deploy.inference_service import LABEL, LABEL_VALUE

    found = kserve()
    assert found["metadata"]["labels"][LABEL] == LABEL_VALUE
    assert found["spec"]["predictor"]["model"]["modelFormat"]["name"] == "tensorflow"
    assert found["metadata"]["name"] == "genreflow"  # as components/kserve has it


@pytest.mark.parametrize("version", VERSIONS)
def test_what_kserve_hands_to_a_pod_is_a_pods(version: str) -> None:
    predictor = kserve()["spec"]["predictor"]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "genreflow"},
        "spec": {
            "serviceAccountName": predictor["serviceAccountName"],
            "automountServiceAccountToken": predictor["automountServiceAccountToken"],
            "securityContext": predictor["securityContext"],
            "containers": [
                {
                    "name": "kserve-container",
                    "resources": predictor["model"]["resources"],
                    "securityContext": predictor["model"]["securityContext"],
                }
            ],
        },
    }
    kubernetes_validate.validate(pod, version, strict=True)
    account = documents((FOLDER / "kserve" / "inferenceservice.yaml").read_text())[0]
    kubernetes_validate.validate(account, version, strict=True)
    assert account["metadata"]["name"] == predictor["serviceAccountName"]


# References to each other


def test_whoever_selects_pods_selects_these() -> None:
    objects = base()
    deployment = one("Deployment", objects)["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    spread = deployment["template"]["spec"]["topologySpreadConstraints"]
    selectors = [
        deployment["selector"]["matchLabels"],
        one("PodDisruptionBudget", objects)["spec"]["selector"]["matchLabels"],
        one("NetworkPolicy", objects)["spec"]["podSelector"]["matchLabels"],
        *(d["spec"]["selector"] for d in objects if d["kind"] == "Service"),
        *(constraint["labelSelector"]["matchLabels"] for constraint in spread),
    ]
    assert len(selectors) == 6
    assert [labels | selector for selector in selectors] == [labels] * 6
    assert selectors == [NAME] * 6


def test_ports_are_named_where_they_are() -> None:
    objects = base()
    ports = {port["name"]: port["containerPort"] for port in container(objects)["ports"]}
    assert ports == {"grpc": 8500, "http": 8501}
    for service in (document for document in objects if document["kind"] == "Service"):
        for port in service["spec"]["ports"]:
            assert ports[port["targetPort"]] == port["port"], service["metadata"]["name"]
    for rule in one("NetworkPolicy", objects)["spec"]["ingress"]:
        assert {port["port"] for port in rule["ports"]} <= ports.keys()
    for probe, kind in (
        ("startup", "httpGet"),
        ("readiness", "httpGet"),
        ("liveness", "tcpSocket"),
    ):
        assert container(objects)[f"{probe}Probe"][kind]["port"] in ports
    args = container(objects)["args"]
    assert "--port=8500" in args
    assert "--rest_api_port=8501" in args


def test_what_is_mounted_and_named_exists() -> None:
    objects = base()
    pod = one("Deployment", objects)["spec"]["template"]["spec"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounts = {mount["name"]: mount for mount in container(objects)["volumeMounts"]}
    assert volumes.keys() == mounts.keys()
    claim = one("PersistentVolumeClaim", objects)["metadata"]["name"]
    assert volumes["models"]["persistentVolumeClaim"] == {"claimName": claim, "readOnly": True}
    assert mounts["models"]["readOnly"]
    assert mounts["config"]["readOnly"]
    assert pod["serviceAccountName"] == one("ServiceAccount", objects)["metadata"]["name"]
    target = one("HorizontalPodAutoscaler", objects)["spec"]["scaleTargetRef"]
    assert target == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": one("Deployment", objects)["metadata"]["name"],
    }
    # The autoscaler sets the number of pods, at least two, so one may always be evicted.
    assert "replicas" not in one("Deployment", objects)["spec"]
    least = one("HorizontalPodAutoscaler", objects)["spec"]["minReplicas"]
    assert least > one("PodDisruptionBudget", objects)["spec"]["minAvailable"]


def test_the_files_that_the_command_line_names_are_in_the_config_map() -> None:
    generated = yaml.safe_load((SERVING / "config" / "kustomization.yaml").read_text())
    config_map = generated["configMapGenerator"][0]
    volumes = one("Deployment", base())["spec"]["template"]["spec"]["volumes"]
    assert {"name": "config", "configMap": {"name": config_map["name"]}} in volumes
    there = {path.name for path in (SERVING / "config").iterdir()} - {"kustomization.yaml"}
    assert set(config_map["files"]) == there
    for argument in container(base())["args"]:
        _, _, value = argument.partition("=")
        if value.startswith("/config/"):
            assert value.removeprefix("/config/") in there
    text = (FOLDER / "overlays" / "batching" / "kustomization.yaml").read_text()
    assert "--batching_parameters_file=/config/batching.config" in text


def test_metrics_are_scraped_where_they_are() -> None:
    annotations = one("Deployment", base())["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/path"] == METRICS_PATH
    assert annotations["prometheus.io/port"] == "8501"


def test_probes_ask_for_the_model_that_is_served() -> None:
    config = (SERVING / "config" / "models.config").read_text()
    assert 'name: "genreflow"' in config
    for probe in ("startupProbe", "readinessProbe"):
        path = container(base())[probe]["httpGet"]["path"]
        assert path == "/v1/models/genreflow/metadata"


def test_the_grace_is_longer_than_the_sleep_that_waits_for_the_service() -> None:
    pod = one("Deployment", base())["spec"]["template"]["spec"]
    command = container(base())["lifecycle"]["preStop"]["exec"]["command"]
    assert command[0] == "sleep"
    assert 0 < int(command[1]) < pod["terminationGracePeriodSeconds"]


def test_the_image_is_the_same_everywhere() -> None:
    assert container(base())["image"] == IMAGE
    compose = yaml.safe_load((SERVING / "docker-compose.yml").read_text())
    assert compose["services"]["serving"]["image"] == IMAGE
    gpu = yaml.safe_load((SERVING / "docker-compose.gpu.yml").read_text())
    assert gpu["services"]["serving"]["image"] == f"{IMAGE}-gpu"
    overlay = yaml.safe_load((FOLDER / "overlays" / "gpu" / "kustomization.yaml").read_text())
    name, _, tag = IMAGE.partition(":")
    assert overlay["images"] == [{"name": name, "newTag": f"{tag}-gpu"}]
    assert kserve()["spec"]["predictor"]["model"]["runtimeVersion"] == tag


# Restrictions


def test_pods_are_restricted() -> None:
    objects = base()
    pod = one("Deployment", objects)["spec"]["template"]["spec"]
    context, contained = pod["securityContext"], container(objects)["securityContext"]
    assert context["runAsNonRoot"] is True
    assert context["runAsUser"] > 0
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert contained == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False
    assert one("ServiceAccount", objects)["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    assert {"memory", "ephemeral-storage"} <= container(objects)["resources"]["limits"].keys()
    namespace = one("Namespace", objects)["metadata"]["labels"]
    assert namespace["pod-security.kubernetes.io/enforce"] == "restricted"


def test_nobody_reaches_it_unasked_and_it_reaches_nobody() -> None:
    policy = one("NetworkPolicy", base())["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["egress"] == []
    assert all(rule["from"] and rule["ports"] for rule in policy["ingress"])
    services = [document["spec"] for document in base() if document["kind"] == "Service"]
    assert {service["type"] for service in services} == {"ClusterIP"}


def test_no_file_holds_a_secret_or_an_unpinned_image() -> None:
    for path in files():
        text = path.read_text()
        assert "kind: Secret" not in text
        assert ":latest" not in text


# The overlays


def test_the_gpu_variant_asks_for_one_and_changes_the_image_alone(rendered: Rendered) -> None:
    plain, gpu = container(rendered("base")), container(rendered("overlays/gpu"))
    assert gpu["image"] == f"{IMAGE}-gpu"
    for side in ("requests", "limits"):
        assert gpu["resources"][side]["nvidia.com/gpu"] == "1"
        assert "nvidia.com/gpu" not in plain["resources"][side]
    assert gpu["resources"]["requests"]["cpu"] == plain["resources"]["requests"]["cpu"]
    kept = plain.keys() - {"image", "resources"}
    assert {key: gpu[key] for key in kept} == {key: plain[key] for key in kept}


def test_the_batching_variant_adds_flags_alone(rendered: Rendered) -> None:
    plain, batching = container(rendered("base")), container(rendered("overlays/batching"))
    assert batching["args"] == [
        *plain["args"],
        "--enable_batching=true",
        "--batching_parameters_file=/config/batching.config",
    ]
    assert {**batching, "args": []} == {**plain, "args": []}


def test_a_changed_configuration_is_a_new_config_map(rendered: Rendered) -> None:
    objects = rendered("base")
    config_map = one("ConfigMap", objects)
    name = config_map["metadata"]["name"]
    assert name.startswith("genreflow-serving-")
    pod = one("Deployment", objects)["spec"]["template"]["spec"]
    assert {"name": "config", "configMap": {"name": name}} in pod["volumes"]
    assert config_map["data"] == {
        path.name: path.read_text()
        for path in (SERVING / "config").iterdir()
        if path.suffix == ".config"
    }
    assert {document["metadata"].get("namespace") for document in objects} == {None, "genreflow"}
