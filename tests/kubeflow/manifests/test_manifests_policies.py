"""Reachability under the network policies, by a small evaluator of their rules."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

Objects = list[dict[str, Any]]
STEP = {"pipelines.kubeflow.org/v2_component": "true", "workflows.argoproj.io/workflow": "x"}
MYSQL = {"app.kubernetes.io/name": "genreflow-mysql"}
SCHEDULER = {"app.kubernetes.io/name": "genreflow-scheduler"}
DNS, API, STORE = {"k8s-app": "kube-dns"}, {"app": "ml-pipeline"}, {"app": "minio"}
NAMED = {"mysql": 3306}
Pod = tuple[str, dict[str, str]]  # namespace, labels


def _selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    assert selector.keys() <= {"matchLabels", "matchExpressions"}
    for expression in selector.get("matchExpressions", []):
        assert expression["operator"] == "In"
        if labels.get(expression["key"]) not in expression["values"]:
            return False
    return selector.get("matchLabels", {}).items() <= labels.items()


def _is(peer: dict[str, Any], other: Pod | str, namespace: str) -> bool:
    if isinstance(other, str):
        address = ipaddress.ip_address(other)
        network = ipaddress.ip_network(peer.get("ipBlock", {"cidr": "::/128"})["cidr"])
        return address.version == network.version and address in network
    if "ipBlock" in peer:  # of addresses outside the cluster
        return False
    there, labels = other
    if "namespaceSelector" in peer:
        named = {"kubernetes.io/metadata.name": there}
        if not _selects(peer["namespaceSelector"], named):
            return False
    elif there != namespace:
        return False
    return _selects(peer.get("podSelector", {}), labels)


def _allows(
    objects: Objects, way: str, pod: Pod, other: Pod | str, port: int, protocol: str
) -> bool:
    """Return whether policies allow a connection in one direction, by Kubernetes' rule.

    A pod that some policy selects may do only what some policy allows.
    """
    selecting = [
        item
        for item in objects
        if item["kind"] == "NetworkPolicy"
        and item["metadata"]["namespace"] == pod[0]
        and way.capitalize() in item["spec"]["policyTypes"]
        and _selects(item["spec"]["podSelector"], pod[1])
    ]
    side = "from" if way == "ingress" else "to"
    return not selecting or any(
        (
            side not in rule
            or any(_is(peer, other, item["metadata"]["namespace"]) for peer in rule[side])
        )
        and (
            "ports" not in rule
            or any(
                NAMED.get(p["port"], p["port"]) == port and p["protocol"] == protocol
                for p in rule["ports"]
            )
        )
        for item in selecting
        for rule in item["spec"].get(way, [])
    )


def reaches(
    objects: Objects, source: Pod, target: Pod | str, port: int, protocol: str = "TCP"
) -> bool:
    return _allows(objects, "egress", source, target, port, protocol) and (
        isinstance(target, str) or _allows(objects, "ingress", target, source, port, protocol)
    )


OWN = ("s3", "gke", "s3+schedule", "gke+schedule")
STANDALONE = ("kind", "kind+schedule", "s3+standalone", "gke+schedule+standalone")


@pytest.mark.parametrize("variant", OWN)
def test_steps_reach_what_they_need(variant: str, manifests: Any) -> None:
    objects, step = manifests.variant(variant), ("genreflow", STEP)
    assert reaches(objects, step, ("kube-system", DNS), 53, "UDP")
    assert reaches(objects, step, ("kube-system", DNS), 53)
    assert reaches(objects, step, "169.254.20.10", 53, "UDP")
    for port in (8888, 8887):
        assert reaches(objects, step, ("kubeflow", API), port)
    assert reaches(objects, step, ("kubeflow", {"component": "metadata-grpc-server"}), 8080)
    assert reaches(objects, step, ("kubeflow", STORE), 9000)
    assert reaches(objects, step, ("kubeflow", {"app": "seaweedfs"}), 8333)
    for address in ("10.96.0.1", "172.18.0.2", "52.216.0.1", "2600:1f18::1"):
        assert reaches(objects, step, address, 443)
        assert reaches(objects, step, address, 6443)


@pytest.mark.parametrize("variant", OWN)
def test_steps_reach_nothing_else(variant: str, manifests: Any) -> None:
    objects, step = manifests.variant(variant), ("genreflow", STEP)
    assert not reaches(objects, step, "52.216.0.1", 80)
    assert not reaches(objects, step, "52.216.0.1", 3306)
    assert not reaches(objects, step, ("kubeflow", {"app": "mysql"}), 3306)
    assert not reaches(objects, step, ("elsewhere", {"app": "shop"}), 8080)
    assert not reaches(objects, step, ("genreflow", {"app": "notebook"}), 8888)
    assert not reaches(objects, step, ("genreflow", STEP), 8888)
    assert reaches(objects, step, "169.254.169.252", 988) == variant.startswith("gke")


@pytest.mark.parametrize("variant", OWN)
def test_nobody_enters_the_namespace_but_kubeflows_interface(variant: str, manifests: Any) -> None:
    objects = manifests.variant(variant)
    artifacts = ("genreflow", {"app": "ml-pipeline-ui-artifact"})
    interface = ("kubeflow", {"app": "ml-pipeline-ui"})
    assert reaches(objects, interface, artifacts, 3000)
    for source in (interface, ("elsewhere", {}), ("genreflow", {"app": "notebook"})):
        assert not reaches(objects, source, ("genreflow", {"app": "anything"}), 80)
        assert not reaches(objects, source, ("genreflow", STEP), 80)
    assert not reaches(objects, ("elsewhere", {}), artifacts, 3000)


@pytest.mark.parametrize("variant", ["s3", "s3+schedule", "kind", "kind+schedule", "s3+standalone"])
def test_only_steps_reach_the_database_which_calls_nobody(variant: str, manifests: Any) -> None:
    objects = manifests.variant(variant)
    here = "genreflow" if variant in OWN else "kubeflow"
    mysql = (here, MYSQL)
    assert reaches(objects, (here, STEP), mysql, 3306)
    assert not reaches(objects, (here, STEP), mysql, 33060)
    assert not reaches(objects, ("elsewhere", STEP), mysql, 3306)
    assert not reaches(objects, (here, {"app": "ml-pipeline"}), mysql, 3306)
    assert not reaches(objects, (here, SCHEDULER), mysql, 3306)
    assert not reaches(objects, mysql, "52.216.0.1", 443)
    assert not reaches(objects, mysql, ("kube-system", DNS), 53, "UDP")


def test_an_existing_database_is_reached_by_its_address_alone(manifests: Any) -> None:
    objects, step = manifests.variant("gke"), ("genreflow", STEP)
    assert reaches(objects, step, "10.20.0.5", 3306)
    assert not reaches(objects, step, "10.20.0.6", 3306)


@pytest.mark.parametrize("variant", ["s3+schedule", "kind+schedule", "gke+schedule+standalone"])
def test_who_submits_reaches_kubeflows_api_alone(variant: str, manifests: Any) -> None:
    objects = manifests.variant(variant)
    who = ("genreflow" if variant in OWN else "kubeflow", SCHEDULER)
    assert reaches(objects, who, ("kubeflow", API), 8888)
    assert reaches(objects, who, ("kube-system", DNS), 53, "UDP")
    assert not reaches(objects, who, ("kubeflow", STORE), 9000)
    assert not reaches(objects, who, "52.216.0.1", 443)
    assert not reaches(objects, (who[0], {"app": "x"}), who, 8080)


@pytest.mark.parametrize("variant", STANDALONE)
def test_beside_kubeflow_itself_nothing_of_others_is_cut_off(variant: str, manifests: Any) -> None:
    objects = manifests.variant(variant)
    for labels in (STEP, API, STORE, {"app": "mysql"}, {}):
        pod = ("kubeflow", labels)
        assert reaches(objects, pod, "52.216.0.1", 80)
        assert reaches(objects, ("elsewhere", {}), pod, 80)
        assert reaches(objects, ("kubeflow", {"app": "cache-server"}), pod, 8443)


def test_the_reading_of_policies_denies_and_allows() -> None:
    """The policy is an example of Kubernetes' own documentation."""
    policy = {
        "kind": "NetworkPolicy",
        "metadata": {"name": "test", "namespace": "default"},
        "spec": {
            "podSelector": {"matchLabels": {"role": "db"}},
            "policyTypes": ["Ingress"],
            "ingress": [
                {
                    "from": [{"podSelector": {"matchLabels": {"role": "frontend"}}}],
                    "ports": [{"protocol": "TCP", "port": 6379}],
                }
            ],
        },
    }
    database, frontend = ("default", {"role": "db"}), ("default", {"role": "frontend"})
    assert reaches([policy], frontend, database, 6379)
    assert not reaches([policy], frontend, database, 6380)
    assert not reaches([policy], frontend, database, 6379, "UDP")
    assert not reaches([policy], ("other", {"role": "frontend"}), database, 6379)
    assert not reaches([policy], ("default", {}), database, 6379)
    assert reaches([policy], ("default", {}), frontend, 6379)
    assert reaches([policy], database, "192.0.2.9", 80)
