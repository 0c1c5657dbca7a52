"""Checks of a configuration for Kubeflow, which import nothing heavy.

They check the settings, the image's name and the file to write, before the seconds that TFX takes.
"""

from __future__ import annotations

import os
import pathlib
import re
import tempfile
import urllib.parse
from collections.abc import Iterable, Sequence

from components.common.errors import UsageError
from components.models import architectures
from components.storage.uri import checked_place, is_remote
from kubeflow.compile import pods
from kubeflow.compile.node_steps import DEPLOY, FINISH, LOOKUP, PREPARE, NodeStep
from kubeflow.steps import metadata_url
from pipeline.config.kubeflow import DEFAULT, KubeflowSettings
from pipeline.config.schema import Config
from pipeline.graph import nodes

SUFFIXES = (".yaml", ".yml")
# host[:port]/path[:tag][@digest], as container engines parse it.
_IMAGE = re.compile(
    r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?(:[0-9]{1,5})?(/[a-z0-9]([a-z0-9._-]*[a-z0-9])?)*"
    r"(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(@sha256:[0-9a-f]{64})?",
    re.ASCII,
)


def check(config: Config, settings: KubeflowSettings, output: str = "") -> None:
    """Check a configuration for Kubeflow.

    Args:
      config: the configuration; its own [kubeflow] table is ignored.
      settings: the [kubeflow] table to use.
      output: the file to write; "" for none.

    Raises:
      UsageError: one line for each problem.
    """
    problems: list[str] = []

    def require(condition: bool, problem: str) -> None:
        if not condition:
            problems.append(problem)

    problems.extend(image_problems(settings))
    problems.extend(place_problems("kubeflow.pipeline_root", settings.pipeline_root, settings))
    problems.extend(_metadata_problems(settings))
    problems.extend(_registry_problems(settings))
    data = config.dataset.data_dir
    require(
        config.dataset.kind != "synthetic"
        or bool(data)
        or bool(settings.volume_claim and not is_remote(settings.pipeline_root)),
        'dataset.kind = "synthetic": the songs are made on the volume; set kubeflow.volume_claim '
        "and put the pipeline root on it",
    )
    if data:
        problems.extend(place_problems("the data folder", data, settings))
    pushed = config.storage.push_destination
    if pushed:
        problems.extend(place_problems("storage.push_destination", pushed, settings))
    for name, model in config.models.items():
        require(
            not architectures.of_name(name).is_path(model.weights)
            or _on_volume(model.weights, settings),
            f"models.{name}.weights = {model.weights!r}: must be on the volume, below "
            f"{_volume(settings)}",
        )
    problems.extend(resource_problems(settings, nodes.node_ids(config)))
    hours = settings.resources_of(DEPLOY).timeout_hours or settings.timeout_hours
    require(
        not settings.inference_service or settings.ready_minutes < hours * 60,
        f"kubeflow.ready_minutes = {settings.ready_minutes:g}: the step Deploy ends after "
        f"{hours:g} hours (timeout_hours), before it could say that KServe is not ready",
    )
    if output:
        problems.extend(output_problems(output, SUFFIXES))
    if problems:
        raise UsageError("\n".join(problems))


def image_problems(settings: KubeflowSettings) -> list[str]:
    """Return the problems of the image's name: none or one."""
    if not settings.image:
        return [
            "no image: give --image (or kubeflow.image), such as registry.example.org/genreflow:1.2"
        ]
    if not _IMAGE.fullmatch(settings.image):
        return [
            f"kubeflow.image = {settings.image!r}: not an image reference such as "
            "registry.example.org/genreflow:1.2; only the tag may have capitals"
        ]
    return []


def image_warning(image: str) -> str:
    """Return a warning for an image name whose image may change; "" for a fixed one."""
    name, _, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    if digest or tag not in ("", "latest"):
        return ""
    return (
        f"image {image}: {'the tag latest' if tag else 'a name without a tag'} may mean another "
        "image tomorrow, and steps refuse a run that another build prepared; give a tag that does "
        "not move, or a digest"
    )


def place_problems(name: str, text: str, settings: KubeflowSettings) -> list[str]:
    """Return the problems of a folder that all steps use: none or one.

    Args:
      name: the folder's option, key or parameter, for the message.
      text: the folder as given.
      settings: the [kubeflow] table, which names the volume.
    """
    try:
        checked_place(text, name)
    except UsageError as error:
        message = str(error)
        return [message if message.startswith(name) else f"{name}: {message}"]
    if is_remote(text) or _on_volume(os.path.join(text, "file"), settings):
        return []
    volume = f"a folder below {_volume(settings)}"
    if not settings.volume_claim:
        volume = f"set kubeflow.volume_claim and {volume}"
    return [f"{name} = {text!r}: not shared between steps; give an s3:// URI, or {volume}"]


def _metadata_problems(settings: KubeflowSettings) -> list[str]:
    try:
        url = metadata_url.parse(settings.metadata)
    except UsageError as error:
        return [f"kubeflow.metadata: {error}"]
    if url.kind == "mysql" and not settings.metadata_secret:
        return [
            "kubeflow.metadata_secret: not set; name a Secret whose key "
            f"{pods.PASSWORD_KEY!r} holds MySQL's password"
        ]
    if url.kind == "sqlite" and not _on_volume(url.path, settings):
        return [
            f"kubeflow.metadata = {settings.metadata!r}: SQLite's file must be on the volume that "
            f"kubeflow.volume_claim names, below {_volume(settings)}"
        ]
    return []


def _registry_problems(settings: KubeflowSettings) -> list[str]:
    """Return the problems of the Model Registry: none or one."""
    if not settings.model_registry_secret:
        return []
    if not settings.model_registry:
        return ["kubeflow.model_registry_secret: set, but kubeflow.model_registry is not"]
    url = urllib.parse.urlsplit(settings.model_registry)
    # Inside the cluster, encryption is up to the cluster.
    if url.scheme != "https" and not (url.hostname or "").endswith((".svc", ".svc.cluster.local")):
        return [
            f"kubeflow.model_registry = {settings.model_registry!r}: its token would be sent "
            "unencrypted; use https://, or a Service of the cluster (NAME.NAMESPACE.svc)"
        ]
    return []


def _volume(settings: KubeflowSettings) -> str:
    return settings.volume_path.rstrip("/")


def _on_volume(path: str, settings: KubeflowSettings) -> bool:
    """Return whether a file is on the volume."""
    below = os.path.normpath(path).startswith(f"{_volume(settings)}/")
    return below and bool(settings.volume_claim)


def resource_problems(settings: KubeflowSettings, node_ids: Iterable[str]) -> list[str]:
    """Return the problems of resources that name no node; a typo could cost a night."""
    known = {DEFAULT, PREPARE, FINISH}
    known |= {DEPLOY} if settings.deploys else set()
    known |= {LOOKUP} if settings.gpu_cache_lookup else set()
    for node in node_ids:
        known |= {node, node.split(".", 1)[0]}
    return [
        f"kubeflow.resources.{key}: no such node; there are: {', '.join(sorted(known))}"
        for key in sorted(settings.resources.keys() - known)
    ]


def check_resources(settings: KubeflowSettings, steps: Iterable[NodeStep]) -> None:
    """Check that resources name nodes of the graph, and that the nodes of a step agree.

    Raises:
      UsageError: one line for each problem.
    """
    steps = list(steps)
    problems = resource_problems(settings, [node for step in steps for node in step.node_ids])
    for step in steps:
        machines = [
            (one.node_selector, one.gpus and one.gpu_resource)
            for one in map(settings.resources_of, step.node_ids)
        ]
        if any(one != machines[0] for one in machines):
            problems.append(
                f"kubeflow.merge_small_steps: {', '.join(step.node_ids)} are one step, but their "
                "resources ask for different machines; give them the same node_selector and GPUs"
            )
    if problems:
        raise UsageError("\n".join(problems))


def output_problems(output: str, suffixes: Sequence[str]) -> list[str]:
    """Return the reasons why a file cannot be written: none or one. Leaves nothing behind.

    Args:
      output: path of the file; missing folders are created later, when it is written.
      suffixes: allowed ends of the file's name.
    """
    target = pathlib.Path(output)
    if target.suffix not in suffixes:
        return [f"{output}: the file's name must end in {' or '.join(suffixes)}"]
    if target.is_dir():
        return [f"{output}: is a folder; give a file"]
    folder = target.absolute().parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            return []
    except OSError as error:
        return [f"{output}: cannot be written: {error.strerror or error}"]
