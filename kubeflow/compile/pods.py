"""Pod settings of a step: variables, volume, secrets, nodes and time limit."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from components.trainer.checkpoints import CHECKPOINTS_VARIABLE
from components.trainer.history import CURVES_VARIABLE
from kubeflow.steps.deploy import TOKEN_VARIABLE as REGISTRY_TOKEN_VARIABLE
from kubeflow.steps.metadata_url import PASSWORD_VARIABLE
from kubeflow.steps.own_environment import compiled_name
from pipeline.config.kubeflow import KubeflowSettings, StepResources, amount
from pipeline.config.schema import Config
from pipeline.graph import nodes

STORAGE_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
PASSWORD_KEY = "password"
TOKEN_KEY = "token"
# Cores of a step without a CPU limit. Vertex AI's default machine, e2-standard-4, has 4
# (https://cloud.google.com/vertex-ai/docs/pipelines/machine-types); elsewhere this is a guess.
_DEFAULT_CORES = 4


def with_workers(config: Config, settings: KubeflowSettings) -> Config:
    """Return the configuration with `beam.workers` set to the cores of the decoding step.

    A number that is set already is kept. The number is set here because the cache compares it,
    and the machines that compile and prepare have other numbers of cores.
    """
    if config.beam.workers:
        return config
    cpu = settings.resources_of(nodes.SPECTROGRAM_GEN).cpu
    workers = math.ceil(amount(cpu)) if cpu else _DEFAULT_CORES
    return dataclasses.replace(config, beam=dataclasses.replace(config.beam, workers=workers))


def environment_of(settings: KubeflowSettings) -> dict[str, str]:
    """Return the environment variables of every step.

    A volume keeps checkpoints and curves: a retry resumes after the last finished epoch, and
    TensorBoard can show the training.
    """
    kept = {}
    if settings.volume_claim:
        folder = settings.volume_path.rstrip("/")
        kept = {
            CHECKPOINTS_VARIABLE: f"{folder}/checkpoints",
            CURVES_VARIABLE: f"{folder}/curves",
        }
    given = {compiled_name(name): value for name, value in settings.environment.items()}
    return {**kept, **given}


def kubernetes_config(
    settings: KubeflowSettings, resources: StepResources, *, registry: bool = False
) -> Mapping[str, Any]:
    """Return KFP's KubernetesExecutorConfig message as JSON: volume, secrets, user, nodes.

    With `registry` the step also gets the Model Registry's token.

    kfp-kubernetes could write it, but its versions that know time limits need a newer protobuf
    than TFX 1.16 allows.
    """
    hours = resources.timeout_hours or settings.timeout_hours
    config: dict[str, Any] = {"activeDeadlineSeconds": str(round(hours * 3600))}
    if settings.volume_claim:
        config["pvcMount"] = [
            {"constant": settings.volume_claim, "mountPath": settings.volume_path}
        ]
    secrets = []
    if settings.storage_secret:
        secrets.append(
            (settings.storage_secret, {name: compiled_name(name) for name in STORAGE_VARIABLES})
        )
    if settings.metadata_secret:
        secrets.append((settings.metadata_secret, {PASSWORD_KEY: PASSWORD_VARIABLE}))
    if settings.model_registry_secret and registry:
        secrets.append((settings.model_registry_secret, {TOKEN_KEY: REGISTRY_TOKEN_VARIABLE}))
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
    if security := _security_context(settings):
        config["securityContext"] = security
    if resources.gpus:
        # Clouds and NVIDIA's operator taint nodes with GPUs like this.
        config["tolerations"] = [
            {"key": resources.gpu_resource, "operator": "Exists", "effect": "NoSchedule"}
        ]
    if resources.node_selector:
        config["nodeSelector"] = {"labels": dict(sorted(resources.node_selector.items()))}
    return config


def _security_context(settings: KubeflowSettings) -> dict[str, Any]:
    """Return KFP's SecurityContext message as JSON; {} if nothing is set.

    It has no more fields. Since 2.16 the backend itself drops all capabilities, refuses to gain
    privileges, and sets the runtime's seccomp profile
    (backend/src/v2/compiler/argocompiler/security_context.go).
    """
    given = settings.security_context
    found: dict[str, Any] = {"runAsNonRoot": True} if given.run_as_non_root else {}
    if given.run_as_user:
        found["runAsUser"] = str(given.run_as_user)  # int64 is text in a proto's JSON
    if given.run_as_group:
        found["runAsGroup"] = str(given.run_as_group)
    return found
