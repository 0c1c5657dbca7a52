"""What can be known, before anything heavy is imported, of a run on Kubeflow: what is wrong with
the configuration, the image's name, the file to write."""

from __future__ import annotations

import os
import pathlib
import re
import tempfile
from collections.abc import Iterable, Sequence

from components.common.errors import UsageError
from components.storage.uri import is_remote, place
from kubeflow.compile import pods
from kubeflow.compile.names import FINISH, PREPARE
from kubeflow.steps import metadata_url
from pipeline.config.kubeflow import DEFAULT, KubeflowSettings
from pipeline.config.schema import Config
from pipeline.graph import nodes

SUFFIXES = (".yaml", ".yml")
# host[:port]/path[:tag][@digest], as container engines read it.
_IMAGE = re.compile(
    r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?(:[0-9]{1,5})?(/[a-z0-9]([a-z0-9._-]*[a-z0-9])?)*"
    r"(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(@sha256:[0-9a-f]{64})?",
    re.ASCII,
)


def check(config: Config, settings: KubeflowSettings, output: str = "") -> None:
    """What can be known to be wrong before anything runs.

    Args:
      config: the configuration; its own [kubeflow] table is not looked at.
      settings: the [kubeflow] table.
      output: the file to write; "" where none is written yet.

    Raises:
      UsageError: one line for every problem.
    """
    problems: list[str] = []

    def must(right: bool, problem: str) -> None:
        if not right:
            problems.append(problem)

    problems.extend(image_problems(settings))
    problems.extend(place_problems("kubeflow.pipeline_root", settings.pipeline_root, settings))
    problems.extend(_metadata_problems(settings))
    data = config.dataset.data_dir
    must(
        config.dataset.kind != "synthetic"
        or bool(data)
        or bool(settings.volume_claim and not is_remote(settings.pipeline_root)),
        'dataset.kind = "synthetic": its songs are made on the volume; set kubeflow.volume_claim '
        "and a pipeline root on it",
    )
    if data:
        problems.extend(place_problems("the data folder", data, settings))
    pushed = config.storage.push_destination
    if pushed:
        problems.extend(place_problems("storage.push_destination", pushed, settings))
    for name, model in config.models.items():
        local = model.weights not in ("none", "imagenet")
        must(
            not local or _on_volume(model.weights, settings),
            f"models.{name}.weights = {model.weights!r}: must lie on the volume, below "
            f"{_volume(settings)}",
        )
    problems.extend(resource_problems(settings, nodes.node_ids(config)))
    if output:
        problems.extend(output_problems(output, SUFFIXES))
    if problems:
        raise UsageError("\n".join(problems))


def image_problems(settings: KubeflowSettings) -> list[str]:
    """What is wrong with the image's name."""
    if not settings.image:
        return [
            "no image: give --image (or kubeflow.image), such as registry.example.org/genreflow:1.2"
        ]
    if not _IMAGE.fullmatch(settings.image):
        return [
            f"kubeflow.image = {settings.image!r}: no reference of an image, such as "
            "registry.example.org/genreflow:1.2; all but the tag is in lower case"
        ]
    return []


def image_warning(image: str) -> str:
    """What may come of the image's name, "" where it always means the same image."""
    name, _, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    if digest or tag not in ("", "latest"):
        return ""
    return (
        f"image {image}: {'the tag latest' if tag else 'a name without a tag'} means another "
        "image tomorrow, and steps refuse a run that another build prepared; give a tag that does "
        "not move, or a digest"
    )


def place_problems(name: str, text: str, settings: KubeflowSettings) -> list[str]:
    """What is wrong with a folder that all steps are to use.

    Args:
      name: its option, key or parameter, for the message.
      text: what was given for it.
      settings: the volume.
    """
    try:
        place(text, name)
    except UsageError as error:
        said = str(error)
        return [said if said.startswith(name) else f"{name}: {said}"]
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
            "kubeflow.metadata_secret: no Secret is named; MySQL's password is taken from its "
            f"key {pods.PASSWORD_KEY!r}"
        ]
    if url.kind == "sqlite" and not _on_volume(url.path, settings):
        return [
            f"kubeflow.metadata = {settings.metadata!r}: SQLite's file must lie on the volume that "
            f"kubeflow.volume_claim names, below {_volume(settings)}"
        ]
    return []


def _volume(settings: KubeflowSettings) -> str:
    return settings.volume_path.rstrip("/")


def _on_volume(path: str, settings: KubeflowSettings) -> bool:
    """Whether a file lies on the volume."""
    below = os.path.normpath(path).startswith(f"{_volume(settings)}/")
    return below and bool(settings.volume_claim)


def resource_problems(settings: KubeflowSettings, node_ids: Iterable[str]) -> list[str]:
    """Resources for what is no node: a typing error would cost a night."""
    known = {DEFAULT, PREPARE, FINISH}
    for node in node_ids:
        known |= {node, node.split(".", 1)[0]}
    return [
        f"kubeflow.resources.{key}: no such node; there are: {', '.join(sorted(known))}"
        for key in sorted(settings.resources.keys() - known)
    ]


def output_problems(output: str, suffixes: Sequence[str]) -> list[str]:
    """Why a file cannot be written; tried without leaving anything behind.

    Args:
      output: its path; folders that it lacks are made when it is written.
      suffixes: what its name may end in.
    """
    target = pathlib.Path(output)
    if target.suffix not in suffixes:
        return [f"{output}: the file's name must end in {' or '.join(suffixes)}"]
    if target.is_dir():
        return [f"{output}: is a folder; name a file"]
    folder = target.absolute().parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            return []
    except OSError as error:
        return [f"{output}: cannot be written: {error.strerror or error}"]
