"""What Kubernetes gives to the pod of a step: variables, volume, secrets, nodes, a time limit."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from components.trainer.checkpoints import CHECKPOINTS_VARIABLE
from components.trainer.history import CURVES_VARIABLE
from kubeflow.steps.metadata_url import PASSWORD_VARIABLE
from pipeline.config.kubeflow import KubeflowSettings, StepResources, amount
from pipeline.config.schema import Config
from pipeline.graph import nodes

STORAGE_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
PASSWORD_KEY = "password"
# For a step without a limit: what Vertex AI gives to one that asks for none (e2-standard-4),
# https://cloud.google.com/vertex-ai/docs/pipelines/machine-types, and as good as any elsewhere.
_CORES = 4


def with_workers(config: Config, settings: KubeflowSettings) -> Config:
    """The configuration with as many decoders as its step has cores, where it says none.

    The machine that compiles or prepares has another number, and the number is part of what the
    cache compares.
    """
    if config.beam.workers:
        return config
    cpu = settings.resources_of(nodes.SPECTROGRAM_GEN).cpu
    workers = math.ceil(amount(cpu)) if cpu else _CORES
    return dataclasses.replace(config, beam=dataclasses.replace(config.beam, workers=workers))


def environment_of(settings: KubeflowSettings) -> dict[str, str]:
    """The variables of every step.

    On a volume, unfinished trainings are kept between attempts, so that a retry goes on after
    the last epoch, and TensorBoard can look on.
    """
    kept = {}
    if settings.volume_claim:
        folder = settings.volume_path.rstrip("/")
        kept = {
            CHECKPOINTS_VARIABLE: f"{folder}/checkpoints",
            CURVES_VARIABLE: f"{folder}/curves",
        }
    return {**kept, **settings.environment}


def kubernetes_config(settings: KubeflowSettings, resources: StepResources) -> Mapping[str, Any]:
    """KFP's KubernetesExecutorConfig message as JSON: volume, secrets, nodes, time limit.

    The package that writes it, kfp-kubernetes, needs a newer protobuf than TFX 1.16 allows from
    the version on that knows time limits.
    """
    hours = resources.timeout_hours or settings.timeout_hours
    config: dict[str, Any] = {"activeDeadlineSeconds": str(round(hours * 3600))}
    if settings.volume_claim:
        config["pvcMount"] = [
            {"constant": settings.volume_claim, "mountPath": settings.volume_path}
        ]
    secrets = []
    if settings.storage_secret:
        secrets.append((settings.storage_secret, {name: name for name in STORAGE_VARIABLES}))
    if settings.metadata_secret:
        secrets.append((settings.metadata_secret, {PASSWORD_KEY: PASSWORD_VARIABLE}))
    if secrets:
        config["secretAsEnv"] = [
            {
                "secretName": secret,
                "keyToEnv": [
                    {"secretKey": key, "envVar": variable} for key, variable in keys.items()
                ],
            }
            for secret, keys in secrets
        ]
    if settings.image_pull_secret:
        config["imagePullSecret"] = [{"secretName": settings.image_pull_secret}]
    if resources.gpus:
        # The taint that clouds and NVIDIA's operator give to nodes with GPUs.
        config["tolerations"] = [
            {"key": resources.gpu_resource, "operator": "Exists", "effect": "NoSchedule"}
        ]
    if resources.node_selector:
        config["nodeSelector"] = {"labels": dict(sorted(resources.node_selector.items()))}
    return config
