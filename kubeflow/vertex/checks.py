"""What can be known, before anything heavy is imported, of a run on Vertex AI: what is wrong, and
what the target cannot do."""

from __future__ import annotations

import os
import re
from collections.abc import Callable

from components.common.errors import UsageError
from kubeflow.compile import checks as compile_checks
from kubeflow.compile.names import FINISH, PREPARE
from kubeflow.vertex import storage as vertex_storage
from pipeline.config.kubeflow import KubeflowSettings, StepResources
from pipeline.config.schema import Config
from pipeline.graph import nodes

SUFFIXES = (".json",)
# The label of GKE's nodes; Vertex AI writes its values in capitals and with "_".
ACCELERATOR_LABEL = "cloud.google.com/gke-accelerator"
_GPU_RESOURCE = StepResources().gpu_resource
_ACCELERATOR = re.compile(r"NVIDIA_[A-Z0-9_]{1,40}", re.ASCII)
# What this target reads of the [kubeflow] table; of a step's resources it reads all but the last.
_USED = frozenset(
    {"image", "pipeline_root", "environment", "retries", "retry_seconds", "resources"}
)
_OF_KUBERNETES = ("timeout_hours",)

LIMITS = (
    "data: its list was read now; compile again when files change",
    "run-time parameters: none; what --data-dir and --set say is compiled in",
    "gate: knows no model that serves, so that holds_serving and already_serving are off",
    "results: no results.json; the gate's decision.json and the report are their steps' outputs",
    "cache: Vertex AI's own, which knows nothing of ML Metadata of other runs",
)


def check(config: Config, settings: KubeflowSettings, mount: str, output: str = "") -> None:
    """Refuses what cannot run on Vertex AI.

    Args:
      config: with `dataset.data_dir` as the steps shall see it.
      settings: the [kubeflow] table.
      mount: the folder whose subfolders are the buckets.
      output: the file to write; "" where none is written yet.

    Raises:
      UsageError: one line for every problem.
    """
    problems: list[str] = []

    def must(right: bool, problem: str) -> None:
        if not right:
            problems.append(problem)

    problems.extend(compile_checks.image_problems(settings))
    try:
        vertex_storage.checked(settings.pipeline_root)
    except UsageError as error:
        problems.append(f"kubeflow.pipeline_root: {error}")
    _check_data(config, mount, must)
    for key, path in _places(config):
        must(
            vertex_storage.in_bucket(path, mount),
            f"{key} = {path!r}: must lie in a bucket, below {mount}, where Vertex AI mounts it",
        )
    must(
        config.beam.runner != "portable",
        'beam.runner = "portable": a step on Vertex AI writes to its own disk, which other '
        'machines cannot; set "auto"',
    )
    for name, resources in settings.resources.items():
        problems.extend(_resource_problems(name, resources))
    node_ids = nodes.node_ids(config, resolves_serving=False)
    problems.extend(compile_checks.resource_problems(settings, node_ids))
    if output:
        problems.extend(compile_checks.output_problems(output, SUFFIXES))
    if problems:
        raise UsageError("\n".join(problems))


def _check_data(config: Config, mount: str, must: Callable[[bool, str], None]) -> None:
    folder = config.dataset.data_dir
    how = (
        f"give --data-dir {mount}/BUCKET/FOLDER (mounted here too: gcsfuse --implicit-dirs {mount})"
    )
    if not folder:
        made = config.dataset.kind == "synthetic"
        why = "the songs of synthetic data have to be there" if made else "it is read here"
        must(False, f"no data folder, and {why} before the pipeline can be compiled; {how}")
    elif folder.startswith(vertex_storage.SCHEME):
        try:
            vertex_storage.checked(folder)
        except UsageError as error:
            must(False, f"the data folder: {error}")
    elif not vertex_storage.in_bucket(folder, mount):
        must(False, f"{folder!r}: steps on Vertex AI cannot read this data folder; {how}")
    else:
        must(os.path.isdir(folder), f"{folder!r}: no such folder here; {how}")


def _places(config: Config) -> list[tuple[str, str]]:
    """Key and value of the other paths that steps use."""
    weights = {name: model.weights for name, model in config.models.items()}
    found = [
        (f"models.{name}.weights", path)
        for name, path in weights.items()
        if path not in ("none", "imagenet")
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
            f"{key}.gpus = {resources.gpus}: of which kind? Set {key}.node_selector = "
            f'{{"{ACCELERATOR_LABEL}" = "nvidia-tesla-t4"}} (or nvidia-l4, ...)'
        ]
    return []


def accelerator(resources: StepResources) -> str:
    """The kind of GPU as Vertex AI names it, such as NVIDIA_TESLA_T4; "" unnamed."""
    return resources.node_selector.get(ACCELERATOR_LABEL, "").upper().replace("-", "_")


def unused(settings: KubeflowSettings) -> list[str]:
    """The keys that are set and that this target has no use for, sorted."""
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
        keys += [f"{at}.{key}" for key in _OF_KUBERNETES if getattr(resources, key)]
        labels = resources.node_selector.keys() - {ACCELERATOR_LABEL}
        if labels or (resources.node_selector and not resources.gpus):
            keys.append(f"{at}.node_selector")
    return sorted(keys)
