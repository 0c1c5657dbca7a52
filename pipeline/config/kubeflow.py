"""Settings of the [kubeflow] table: the cluster and the steps' resources. Holds no secrets."""

from __future__ import annotations

import dataclasses
import re
from typing import Annotated

from annotated_types import Ge, Gt, Le

# Kubernetes' resource quantities, without exponents.
_QUANTITY = re.compile(r"[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?", re.ASCII)
# An RFC 1123 subdomain, as names of Kubernetes objects.
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", re.ASCII)
_LABEL_KEY = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._/-]{0,315}[A-Za-z0-9])?", re.ASCII)
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?", re.ASCII)
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*", re.ASCII)
_URL = re.compile(r"https?://[A-Za-z0-9.\[\]:-]+(/[A-Za-z0-9._~/-]*)?", re.ASCII)
_SECRET_WORDS = ("SECRET", "PASSWORD", "TOKEN", "ACCESS_KEY", "API_KEY")
DEFAULT = "default"
_FACTORS = {"": 1, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12} | {
    f"{letter}i": 1024.0**power for power, letter in enumerate("KMGT", start=1)
}


def amount(quantity: str) -> float:
    """Return the cores or bytes of a Kubernetes quantity ("500m", "8Gi")."""
    digits = quantity.rstrip("mkKMGTi")
    return float(digits) * _FACTORS[quantity[len(digits) :]]


def _larger(one: str, other: str) -> str:
    """Return the larger of two quantities; "", which is no limit, is the largest."""
    return max(one, other, key=amount) if one and other else ""


def smaller(one: str, other: str) -> str:
    """Return the smaller of two quantities; "" is no limit, and then the first stays."""
    return min(one, other, key=amount) if one and other else one


@dataclasses.dataclass(frozen=True)
class StepResources:
    """Resources of one step.

    Attributes:
      cpu: limit as Kubernetes writes it ("2", "500m"); "" for none.
      memory: limit as Kubernetes writes it ("8Gi"); "" for none.
      gpus: number of `gpu_resource`.
      gpu_resource: extended resource, whose taint the step tolerates.
      node_selector: labels of the nodes that the step may run on.
      timeout_hours: time limit; 0 takes kubeflow.timeout_hours.
    """

    cpu: str = ""
    memory: str = ""
    gpus: Annotated[int, Ge(0), Le(16)] = 0
    gpu_resource: str = "nvidia.com/gpu"
    node_selector: dict[str, str] = dataclasses.field(default_factory=dict)
    timeout_hours: Annotated[float, Ge(0), Le(720)] = 0.0

    def __post_init__(self) -> None:
        for name in ("cpu", "memory"):
            value = getattr(self, name)
            if value and not _QUANTITY.fullmatch(value):
                raise ValueError(
                    f'{name} = "{value}": must be a quantity such as "2", "500m" or "8Gi"'
                )
        if not _LABEL_KEY.fullmatch(self.gpu_resource):
            raise ValueError(
                f'gpu_resource = "{self.gpu_resource}": must be a resource name such as '
                '"nvidia.com/gpu"'
            )
        for key, value in self.node_selector.items():
            if not _LABEL_KEY.fullmatch(key) or not _LABEL_VALUE.fullmatch(value):
                raise ValueError(f'node_selector: "{key}" = "{value}" is not a Kubernetes label')


@dataclasses.dataclass(frozen=True)
class SecurityContext:
    """User of all steps' containers. The defaults leave it to the image, and to the cluster.

    Attributes:
      run_as_non_root: whether Kubernetes refuses to start a container as root.
      run_as_user: the user's number; 0 for the image's.
      run_as_group: the group's number; 0 for the image's.
    """

    run_as_non_root: bool = False
    run_as_user: Annotated[int, Ge(0), Le(2**31 - 1)] = 0
    run_as_group: Annotated[int, Ge(0), Le(2**31 - 1)] = 0


@dataclasses.dataclass(frozen=True)
class KubeflowSettings:
    """Settings of the [kubeflow] table.

    Attributes:
      image: container image of every step; --image replaces it.
      image_pull_secret: a Secret of type kubernetes.io/dockerconfigjson, if the registry needs one.
      pipeline_root: a folder of the volume, or an s3:// URI; for Vertex AI gs://bucket/folder.
      metadata: ML Metadata's database: mysql://user@host:3306/name, or sqlite:///path on the
        volume.
      volume_claim: a PersistentVolumeClaim that every step mounts; "" for none. It must be
        ReadWriteMany, as several steps run at the same time.
      volume_path: folder where the volume is mounted.
      storage_secret: a Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, if the service
        account does not suffice.
      metadata_secret: a Secret with the key `password`.
      environment: further variables of every step, such as AWS_ENDPOINT_URL_S3; no secrets.
      retries: number of retries of a failed step.
      retry_seconds: wait before the first retry; it doubles with each one.
      timeout_hours: time limit of a step.
      security_context: user of the steps' containers; needs Kubeflow Pipelines 2.16.
      merge_small_steps: whether small nodes share a step, which runs one after the other.
      gpu_cache_lookup: whether a step before those with GPUs looks into the cache, so that the ones
        whose nodes are all in it ask for no GPU.
      inference_service: KServe's InferenceService in the run's namespace that gets each pushed
        version; "" for none.
      ready_minutes: how long to wait until it serves the version.
      model_registry: URL of Kubeflow's Model Registry, which gets each pushed version; "" for none.
      model_registry_secret: a Secret whose key `token` holds its bearer token, if it wants one.
      resources: by "default", a node's id ("Trainer.vgg16"), or the id's part before the dot
        ("Trainer").
    """

    image: str = ""
    image_pull_secret: str = ""
    pipeline_root: str = ""
    metadata: str = ""
    volume_claim: str = ""
    volume_path: str = "/genreflow"
    storage_secret: str = ""
    metadata_secret: str = ""
    environment: dict[str, str] = dataclasses.field(default_factory=dict)
    retries: Annotated[int, Ge(0), Le(10)] = 2
    retry_seconds: Annotated[int, Ge(0), Le(3600)] = 60
    timeout_hours: Annotated[float, Gt(0), Le(720)] = 24.0
    security_context: SecurityContext = SecurityContext()
    merge_small_steps: bool = False
    gpu_cache_lookup: bool = False
    inference_service: str = ""
    ready_minutes: Annotated[float, Gt(0), Le(1440)] = 15.0
    model_registry: str = ""
    model_registry_secret: str = ""
    resources: dict[str, StepResources] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in (
            "image_pull_secret", "volume_claim", "storage_secret", "metadata_secret",
            "inference_service", "model_registry_secret",
        ):  # fmt: skip
            value = getattr(self, name)
            if value and not _NAME.fullmatch(value):
                raise ValueError(
                    f'{name} = "{value}": not a valid Kubernetes name (lower case, digits, "-")'
                )
        if not self.volume_path.startswith("/") or self.volume_path == "/":
            raise ValueError(f'volume_path = "{self.volume_path}": must be an absolute path')
        if self.model_registry and not _URL.fullmatch(self.model_registry):
            raise ValueError(
                "model_registry: must be a URL without a password, such as "
                "http://model-registry-service.kubeflow.svc.cluster.local:8080"
            )
        for key in self.environment:
            if not _VARIABLE.fullmatch(key):
                raise ValueError(f'environment: "{key}" is not a valid variable name')
            if any(word in key for word in _SECRET_WORDS):
                raise ValueError(
                    f'environment: "{key}" looks like a secret, which the pipeline would store '
                    "readable for all; put it into the Secret that storage_secret names"
                )

    @property
    def deploys(self) -> bool:
        """Return whether pushed versions go anywhere else."""
        return bool(self.inference_service or self.model_registry)

    def resources_of(self, node_id: str, *others: str) -> StepResources:
        """Return a node's own resources, else those of its kind, else the default.

        Args:
          node_id: the node's id.
          *others: ids of further nodes that the same step runs: then the largest amounts.
        """
        found = self._resources_of(node_id)
        for other in map(self._resources_of, others):
            found = dataclasses.replace(
                found,
                cpu=_larger(found.cpu, other.cpu),
                memory=_larger(found.memory, other.memory),
                gpus=max(found.gpus, other.gpus),
                timeout_hours=max(
                    found.timeout_hours or self.timeout_hours,
                    other.timeout_hours or self.timeout_hours,
                ),
            )
        return found

    def _resources_of(self, node_id: str) -> StepResources:
        for key in (node_id, node_id.split(".", 1)[0], DEFAULT):
            if key in self.resources:
                return self.resources[key]
        return StepResources()
