"""Tests of the [kubeflow] table: it rejects secrets, and what Kubernetes would reject."""

from __future__ import annotations

from typing import Any

import pytest

from components.common.errors import UsageError
from kubeflow.compile import pods
from kubeflow.compile.node_steps import step_names
from pipeline.config.kubeflow import KubeflowSettings, StepResources, amount
from pipeline.config.load import load, shipped_config


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"volume_claim": "My_Claim"}, "volume_claim"),
        ({"storage_secret": "-a"}, "storage_secret"),
        ({"metadata_secret": "a b"}, "metadata_secret"),
        ({"inference_service": "Mine"}, "inference_service"),
        ({"model_registry_secret": "a_b"}, "model_registry_secret"),
        ({"model_registry": "registry:8080"}, "model_registry: must be a URL"),
        ({"model_registry": "http://me:hush@registry"}, "must be a URL without a password"),
        ({"model_registry": "http://registry/?a=b"}, "model_registry: must be a URL"),
        ({"volume_path": "relative"}, "absolute path"),
        ({"volume_path": "/"}, "absolute path"),
        ({"environment": {"lower": "x"}}, "not a valid variable name"),
        ({"environment": {"AWS_SECRET_ACCESS_KEY": "x"}}, "looks like a secret"),
        ({"environment": {"MY_TOKEN": "x"}}, "looks like a secret"),
    ],
)
def test_what_a_cluster_would_refuse_or_show_to_all_is_refused(
    values: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        KubeflowSettings(**values)


@pytest.mark.parametrize("quantity", ["2", "500m", "1.5", "8Gi", "512M", ""])
def test_quantities_are_kubernetes_own(quantity: str) -> None:
    assert StepResources(cpu=quantity, memory=quantity).memory == quantity


@pytest.mark.parametrize("quantity", ["two", "8 Gi", "-1", "8GB", "1e3", "8gi"])
def test_what_is_no_quantity_is_refused(quantity: str) -> None:
    with pytest.raises(ValueError, match="must be a quantity"):
        StepResources(memory=quantity)


def test_labels_of_nodes_are_checked() -> None:
    StepResources(node_selector={"cloud.google.com/gke-accelerator": "nvidia-l4"})
    with pytest.raises(ValueError, match="not a Kubernetes label"):
        StepResources(node_selector={"a b": "c"})
    with pytest.raises(ValueError, match="not a Kubernetes label"):
        StepResources(node_selector={"a": "c d"})


def test_a_node_takes_its_own_resources_then_its_kinds_then_the_default() -> None:
    own, kind, default = (StepResources(cpu=cpu) for cpu in ("1", "2", "3"))
    settings = KubeflowSettings(
        resources={"Trainer.vgg16": own, "Trainer": kind, "default": default}
    )
    assert settings.resources_of("Trainer.vgg16") == own
    assert settings.resources_of("Trainer.ffnn") == kind
    assert settings.resources_of("Pusher") == default
    assert KubeflowSettings().resources_of("Pusher") == StepResources()


def test_steps_are_named_as_kubernetes_takes_them() -> None:
    assert step_names(["Trainer.cnn_small", "GenreGate"]) == {
        "Trainer.cnn_small": "trainer-cnn-small",
        "GenreGate": "genregate",
    }


def test_two_nodes_never_become_one_step() -> None:
    with pytest.raises(UsageError, match=r"'Trainer\.a_b' and 'Trainer\.a\.b'"):
        step_names(["Trainer.a_b", "Trainer.a.b"])


@pytest.mark.parametrize("node", ["...", "x" * 41])
def test_a_name_that_kubernetes_refuses_is_refused(node: str) -> None:
    with pytest.raises(UsageError, match="cannot name a step"):
        step_names([node])


@pytest.mark.parametrize(
    ("quantity", "number"),
    [
        ("2", 2.0), ("1.5", 1.5), ("500m", 0.5), ("3k", 3e3), ("8G", 8e9), ("1T", 1e12),
        ("1Ki", 1024.0), ("1Mi", 1048576.0), ("8Gi", 8589934592.0), ("1Ti", 1099511627776.0),
    ],
)  # fmt: skip
def test_quantities_of_kubernetes_are_numbers_here(quantity: str, number: float) -> None:
    assert amount(quantity) == number


@pytest.mark.parametrize(
    ("cpu", "configured", "workers"),
    [("", 0, 4), ("2", 0, 2), ("1500m", 0, 2), ("8", 3, 3), ("500m", 0, 1)],
)
def test_the_audio_is_decoded_by_as_many_workers_as_its_step_has_cores(
    cpu: str, configured: int, workers: int
) -> None:
    overrides = [f"beam.workers={configured}"]
    if cpu:
        overrides.append(f'kubeflow.resources.SpectrogramGen.cpu="{cpu}"')
    config = load(shipped_config("fma_small"), overrides)
    assert pods.with_workers(config, config.kubeflow).beam.workers == workers
