"""Cluster files: schemas, references between objects, and the rights of pods.

No cluster is involved. The schemas are those of kubernetes-validate, in strict mode (no unknown
fields).
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import kubernetes_validate
import pytest
import yaml

from kubeflow.compile import pods
from tests.support import ROOT, fake_kubernetes

Objects = list[dict[str, Any]]

MANIFESTS = ROOT / "kubeflow" / "manifests"
# CronJobs have `timeZone` since 1.27; the last version is the newest with a schema.
VERSIONS = ("1.27", "1.31", "1.34", "1.37")
VARIANTS = (
    "kind", "s3", "gke", "kind+schedule", "s3+schedule", "gke+schedule", "s3+standalone",
    "gke+schedule+standalone", "s3+kserve", "kind+kserve",
)  # fmt: skip
# Secrets that the README creates before anything is applied, with their keys.
SECRETS = {
    "genreflow-metadata": {pods.PASSWORD_KEY},
    "genreflow-mysql": {"root-password"},
    "genreflow-storage": set(pods.STORAGE_VARIABLES),
}


@pytest.fixture(params=VARIANTS)
def objects(request: pytest.FixtureRequest, manifests: Any) -> Objects:
    built: Objects = manifests.variant(request.param)
    return built


def of(kind: str, among: Objects) -> dict[str, dict[str, Any]]:
    return {item["metadata"]["name"]: item for item in among if item["kind"] == kind}


def pod_templates(among: Objects) -> Iterator[tuple[str, dict[str, Any]]]:
    for item in among:
        spec = item.get("spec", {})
        spec = spec.get("jobTemplate", {"spec": spec})["spec"]
        if "template" in spec:
            yield item["metadata"]["name"], spec["template"]


def containers(among: Objects) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    for name, template in pod_templates(among):
        pod = template["spec"]
        assert "initContainers" not in pod
        for container in pod["containers"]:
            yield name, pod, container


# The schemas


@pytest.mark.parametrize("version", VERSIONS)
def test_each_object_is_as_kubernetes_has_it(version: str, manifests: Any) -> None:
    distinct = {
        json.dumps(item): item for variant in VARIANTS for item in manifests.variant(variant)
    }
    assert len(distinct) > 30
    for item in distinct.values():
        kubernetes_validate.validate(item, version, strict=True)


def test_an_unknown_field_would_be_seen(manifests: Any) -> None:
    item = copy.deepcopy(of("StatefulSet", manifests.variant("kind"))["genreflow-mysql"])
    item["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(item, VERSIONS[0], strict=True)


def test_every_file_is_used() -> None:
    for kustomization in sorted(MANIFESTS.rglob("kustomization.yaml")):
        folder, listed = kustomization.parent, yaml.safe_load(kustomization.read_text())
        there = {path.name for path in folder.glob("*.yaml")}
        there -= {"kustomization.yaml", "pipeline.yaml"}
        resources = set(listed.get("resources", []))
        assert there == {name for name in resources if name.endswith(".yaml")}, folder


def test_all_is_in_one_namespace(manifests: Any) -> None:
    for variant in VARIANTS:
        alone = not variant.startswith("kind") and "standalone" not in variant
        objects = manifests.variant(variant)
        found = {item["metadata"].get("namespace") for item in objects}
        assert found == ({"genreflow", None} if alone else {"kubeflow"}), variant
        assert set(of("Namespace", objects)) == ({"genreflow"} if alone else set()), variant
        for binding in of("RoleBinding", objects).values():
            (subject,) = binding["subjects"]
            assert subject["namespace"] == ("genreflow" if alone else "kubeflow"), variant


# References between objects


def test_what_pods_name_exists(objects: Objects) -> None:
    accounts = set(of("ServiceAccount", objects))
    for name, template in pod_templates(objects):
        pod = template["spec"]
        assert pod.get("serviceAccountName", "genreflow-runner") in accounts, name
        # None of these pods uses the Kubernetes API.
        assert pod["automountServiceAccountToken"] is False, name
        claims = set(of("PersistentVolumeClaim", objects))
        volumes = {volume["name"] for volume in pod.get("volumes", [])}
        owner = of("StatefulSet", objects).get(name, {"spec": {}})
        volumes |= {
            made["metadata"]["name"] for made in owner["spec"].get("volumeClaimTemplates", [])
        }
        for volume in pod.get("volumes", []):
            if "configMap" in volume:
                assert volume["configMap"]["name"] in of("ConfigMap", objects)
            if "persistentVolumeClaim" in volume:
                assert volume["persistentVolumeClaim"]["claimName"] in claims
        mounted = {mount["name"] for _, _, c in containers(objects) for mount in c["volumeMounts"]}
        assert volumes <= mounted, name
    for name, _, container in containers(objects):
        for variable in container.get("env", []):
            secret = variable.get("valueFrom", {}).get("secretKeyRef")
            if secret:
                assert secret["key"] in SECRETS[secret["name"]], name


def test_services_find_their_pods_and_ports(objects: Objects) -> None:
    pods = [
        (
            template["metadata"]["labels"],
            {port["name"]: port["containerPort"] for port in container.get("ports", [])},
        )
        for _, template in pod_templates(objects)
        for container in template["spec"]["containers"]
    ]
    for name, service in of("Service", objects).items():
        selector = service["spec"]["selector"]
        (ports,) = (ports for labels, ports in pods if selector.items() <= labels.items())
        for port in service["spec"]["ports"]:
            assert ports[port["targetPort"]] == port["port"] == 3306, name
    for stateful in of("StatefulSet", objects).values():
        governing = of("Service", objects)[stateful["spec"]["serviceName"]]
        assert governing["spec"]["clusterIP"] == "None"
        labels = stateful["spec"]["template"]["metadata"]["labels"]
        assert stateful["spec"]["selector"]["matchLabels"].items() <= labels.items()


def test_roles_are_bound_to_the_account_of_their_name(objects: Objects) -> None:
    roles, bindings = of("Role", objects), of("RoleBinding", objects)
    assert set(roles) == set(bindings)
    for name, binding in bindings.items():
        assert binding["roleRef"]["kind"] == "Role"
        assert binding["roleRef"]["name"] == name
        account = name.removesuffix("-kserve")
        assert account in of("ServiceAccount", objects)
        subjects = [(subject["kind"], subject["name"]) for subject in binding["subjects"]]
        assert subjects == [("ServiceAccount", account)]


def test_accounts_may_do_this_and_nothing_else(objects: Objects) -> None:
    """A new right must be added here too."""
    assert not {item["kind"] for item in objects} & {"ClusterRole", "ClusterRoleBinding"}
    may = {
        (name, group, resource, named, verb)
        for name, role in of("Role", objects).items()
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for named in rule.get("resourceNames", ["any"])
        for verb in rule["verbs"]
    }
    runner = {
        ("genreflow-runner", "", "configmaps", "kfp-launcher", "get"),
        ("genreflow-runner", "", "secrets", "mlpipeline-minio-artifact", "get"),
        ("genreflow-runner", "argoproj.io", "workflowtaskresults", "any", "create"),
        ("genreflow-runner", "argoproj.io", "workflowtaskresults", "any", "patch"),
    }
    scheduler = {
        ("genreflow-scheduler", "pipelines.kubeflow.org", "runs", "any", "create"),
        ("genreflow-scheduler", "pipelines.kubeflow.org", "experiments", "any", "create"),
        ("genreflow-scheduler", "pipelines.kubeflow.org", "experiments", "any", "list"),
    }
    group, named, name = "serving.kserve.io", fake_kubernetes.NAME, "genreflow-runner-kserve"
    deployer = {
        (name, group, "inferenceservices", named, "get"),
        (name, group, "inferenceservices", named, "patch"),
        (name, "apps", "deployments", f"{named}-predictor", "get"),
    }
    scheduled = "genreflow-scheduler" in of("ServiceAccount", objects)
    deployed = "genreflow-runner-kserve" in of("Role", objects)
    assert may == runner | (scheduler if scheduled else set()) | (deployer if deployed else set())


def test_the_deployment_to_kserve_is_off_unless_its_line_is_taken_in(manifests: Any) -> None:
    for variant in VARIANTS:
        found = "genreflow-runner-kserve" in of("RoleBinding", manifests.variant(variant))
        assert found == variant.endswith("+kserve"), variant


def test_the_schedule_asks_with_a_token_for_kubeflow_alone(manifests: Any) -> None:
    (job,) = of("CronJob", manifests.variant("s3+schedule")).values()
    assert job["spec"]["jobTemplate"]["spec"]["backoffLimit"] == 0
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounts = {mount["mountPath"]: volumes[mount["name"]] for mount in container["volumeMounts"]}
    env = {variable["name"]: variable.get("value") for variable in container["env"]}
    folder, _, file = env["KF_PIPELINES_SA_TOKEN_PATH"].rpartition("/")
    (source,) = mounts[folder]["projected"]["sources"]
    assert source["serviceAccountToken"]["path"] == file
    assert source["serviceAccountToken"]["audience"] == "pipelines.kubeflow.org"
    folder, _, file = container["args"][0].rpartition("/")
    config_map = of("ConfigMap", manifests.variant("s3+schedule"))[
        mounts[folder]["configMap"]["name"]
    ]
    assert set(config_map["data"]) == {file}
    assert "emptyDir" in mounts[env["HOME"]]


# Rights of pods


def test_pods_are_as_the_namespace_enforces_and_more(objects: Objects) -> None:
    """All are restricted, except the one that changes a volume's owner, which is baseline."""
    seen = set()
    for name, pod, container in containers(objects):
        seen.add(name)
        own, whole = container["securityContext"], pod["securityContext"]
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys(), name
        assert not any("hostPath" in volume for volume in pod["volumes"]), name
        assert whole["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert own["allowPrivilegeEscalation"] is False, name
        assert own["readOnlyRootFilesystem"] is True, name
        assert own["capabilities"]["drop"] == ["ALL"], name
        if name == "genreflow-volume-owner":
            assert own["capabilities"]["add"] == ["CHOWN"]
            assert container["command"] == ["chown", "1000:1000", "/genreflow"]
        else:
            assert "add" not in own["capabilities"], name
            assert "runAsUser" not in own, name
            assert whole["runAsNonRoot"] is True, name
            assert whole["runAsUser"] > 0, name
        assert {"cpu", "memory"} <= container["resources"]["requests"].keys(), name
        assert "memory" in container["resources"]["limits"], name
    assert seen == {name for name, _ in pod_templates(objects)}


def test_the_namespace_lets_kubeflows_pods_in_and_no_privileged_ones(manifests: Any) -> None:
    labels = of("Namespace", manifests.variant("s3"))["genreflow"]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "baseline"
    assert labels["pod-security.kubernetes.io/warn"] == "restricted"
    assert labels["pipelines.kubeflow.org/enabled"] == "true"


def test_no_pod_gets_istios_sidecar_which_baseline_refuses(objects: Objects) -> None:
    """A profile's namespace has the label istio-injection."""
    for name, template in pod_templates(objects):
        assert template["metadata"]["labels"]["sidecar.istio.io/inject"] == "false", name


def test_images_are_pinned_and_ours_is_one(objects: Objects) -> None:
    images = {container["image"] for _, _, container in containers(objects)}
    for image in images:
        name, _, tag = image.rpartition(":")
        assert name, image
        assert tag[:1].isdigit(), image
        assert "/" not in tag, image
    assert len({image for image in images if "/genreflow:" in image}) <= 1


def test_the_databases_version_still_has_the_login_that_ml_metadata_knows(manifests: Any) -> None:
    (mysql,) = of("StatefulSet", manifests.variant("kind")).values()
    (container,) = mysql["spec"]["template"]["spec"]["containers"]
    name, _, tag = container["image"].rpartition(":")
    assert name == "mysql"
    assert tag.split(".")[:2] == ["8", "4"]
    assert "--mysql-native-password=ON" in container["args"]
    assert "--authentication-policy=mysql_native_password" in container["args"]
    data = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}["data"]
    assert f"--datadir={data}/data" in container["args"]
    env = {variable["name"]: variable for variable in container["env"]}
    assert env["MYSQL_ROOT_HOST"]["value"] == "localhost"


def test_steps_running_side_by_side_can_mount_the_volume(manifests: Any) -> None:
    modes = {
        variant: of("PersistentVolumeClaim", manifests.variant(variant))["genreflow"]["spec"]
        for variant in ("kind", "gke")
    }
    assert modes["gke"]["accessModes"] == ["ReadWriteMany"]
    assert modes["kind"]["accessModes"] == ["ReadWriteOnce"]  # all pods are on one node
    assert not of("PersistentVolumeClaim", manifests.variant("s3"))
