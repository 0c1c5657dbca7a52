"""Checks of a configuration for Vertex AI, and the limits of that target. Imports nothing heavy."""

from __future__ import annotations

import os
import re
from collections.abc import Callable

from components.common.errors import UsageError
from components.models import architectures
from kubeflow.compile.checks import image_problems, output_problems, resource_problems
from kubeflow.compile.node_steps import FINISH, PREPARE
from kubeflow.vertex.storage import SCHEME, checked, in_bucket
from pipeline.config.kubeflow import KubeflowSettings, StepResources
from pipeline.config.schema import Config
from pipeline.graph import nodes

SUFFIXES = (".json",)
# GKE's node label; Vertex AI writes its values in capitals and with "_".
ACCELERATOR_LABEL = "cloud.google.com/gke-accelerator"
_GPU_RESOURCE = StepResources().gpu_resource
_ACCELERATOR = re.compile(r"NVIDIA_[A-Z0-9_]{1,40}", re.ASCII)
# Keys of the [kubeflow] table that Vertex AI uses.
_USED = frozenset(
    {"image", "pipeline_root", "environment", "retries", "retry_seconds", "resources"}
)
# Keys of a step's resources that Vertex AI does not use.
_UNUSED_RESOURCES = ("timeout_hours",)

LIMITS = (
    "data: listed while compiling; compile again when files change",
    "run-time parameters: none; --data-dir and --set are compiled in",
    "gate: does not know the serving model, so holds_serving and already_serving are off",
    "results: no results.json; decision.json and the report are outputs of genregate and report",
    "cache: Vertex AI's own; it does not know runs on other platforms",
)


def check(config: Config, settings: KubeflowSettings, mount: str, output: str = "") -> None:
    """Check a configuration for Vertex AI.

    Args:
      config: the configuration; `dataset.data_dir` is the folder as the steps see it.
      settings: the [kubeflow] table.
      mount: the folder whose subfolders are the buckets.
      output: the file to write; "" for none.

    Raises:
      UsageError: one line for each problem.
    """
    problems: list[str] = []

    def require(condition: bool, problem: str) -> None:
        if not condition:
            problems.append(problem)

    problems.extend(image_problems(settings))
    try:
        checked(settings.pipeline_root)
    except UsageError as error:
        problems.append(f"kubeflow.pipeline_root: {error}")
    _check_data(config, mount, require)
    for key, path in _places(config):
        require(
            in_bucket(path, mount),
            f"{key} = {path!r}: must be in a bucket, below {mount}, where Vertex AI mounts it",
        )
    require(
        config.beam.runner_table is None,
        f'beam.runner = "{config.beam.runner}": a step on Vertex AI writes to its own disk, which '
        'other machines cannot reach; set "auto"',
    )
    for name, resources in settings.resources.items():
        problems.extend(_resource_problems(name, resources))
    node_ids = nodes.node_ids(config, resolves_serving=False)
    problems.extend(resource_problems(settings, node_ids))
    if output:
        problems.extend(output_problems(output, SUFFIXES))
    if problems:
        raise UsageError("\n".join(problems))


def _check_data(config: Config, mount: str, require: Callable[[bool, str], None]) -> None:
    folder = config.dataset.data_dir
    how = (
        f"give --data-dir {mount}/BUCKET/FOLDER (mount it here with: gcsfuse --implicit-dirs "
        f"{mount})"
    )
    if not folder:
        made = config.dataset.kind == "synthetic"
        why = "the synthetic songs must exist" if made else "the data is read"
        require(False, f"no data folder: {why} before the pipeline can be compiled; {how}")
    elif folder.startswith(SCHEME):
        try:
            checked(folder)
        except UsageError as error:
            require(False, f"the data folder: {error}")
    elif not in_bucket(folder, mount):
        require(False, f"{folder!r}: steps on Vertex AI cannot read this data folder; {how}")
    else:
        require(os.path.isdir(folder), f"{folder!r}: no such folder here; {how}")


def _places(config: Config) -> list[tuple[str, str]]:
    """Return the key and value of the other paths that steps use."""
    weights = {name: model.weights for name, model in config.models.items()}
    found = [
        (f"models.{name}.weights", path)
        for name, path in weights.items()
        if architectures.of_name(name).is_path(path)
    ]
    if config.storage.push_destination:
        found.append(("storage.push_destination", config.storage.push_destination))
    return found


def _resource_problems(name: str, resources: StepResources) -> list[str]:
    if not resources.gpus:
        return []
    key = f"kubeflow.resources.{name}"
    if resources.gpu_resource != _GPU_RESOURCE:
        return [f"{key}.gpu_resource = {resources.gpu_resource!r}: Vertex AI has {_GPU_RESOURCE}"]
    if not _ACCELERATOR.fullmatch(accelerator(resources)):
        return [
            f"{key}.gpus = {resources.gpus}: the kind of GPU is unknown; set {key}.node_selector = "
            f'{{"{ACCELERATOR_LABEL}" = "nvidia-tesla-t4"}} (or nvidia-l4, ...)'
        ]
    return []


def accelerator(resources: StepResources) -> str:
    """Return Vertex AI's name of the kind of GPU, such as NVIDIA_TESLA_T4; "" for none."""
    return resources.node_selector.get(ACCELERATOR_LABEL, "").upper().replace("-", "_")


def unused(settings: KubeflowSettings) -> list[str]:
    """Return the keys that are set and that Vertex AI does not use, sorted."""
    plain = KubeflowSettings()
    keys = [
        f"kubeflow.{key}"
        for key in vars(settings).keys() - _USED
        if getattr(settings, key) != getattr(plain, key)
    ]
    for name, resources in settings.resources.items():
        at = f"kubeflow.resources.{name}"
        if name in (PREPARE, FINISH):
            keys.append(at)
            continue
        keys += [f"{at}.{key}" for key in _UNUSED_RESOURCES if getattr(resources, key)]
        labels = resources.node_selector.keys() - {ACCELERATOR_LABEL}
        if labels or (resources.node_selector and not resources.gpus):
            keys.append(f"{at}.node_selector")
    return sorted(keys)
