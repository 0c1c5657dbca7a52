"""Labels of versions, such as "canary", and the configuration by which servers read them.

`labels.json` in the model's folder holds them. From it `models.config` beside it is written: a
ModelServerConfig, which TensorFlow Serving and `genreflow serve` read. With labels it names the
versions to serve, the newest and all with a label, because a server refuses a label of a version
that it has not loaded. So it is written anew whenever the newest version changes.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Collection, Mapping
from typing import Annotated

from annotated_types import Ge

from components.artifacts import files as artifact_files
from components.artifacts import typed_json
from components.common.errors import DataError, UsageError
from components.common.escape import printable
from components.common.model_contract import MODEL_NAME
from components.storage.errors import ObjectMissing
from components.storage.uri import join
from components.versions.folder import list_versions

LABELS_JSON = "labels.json"
MODELS_CONFIG = "models.config"
LABEL_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}", re.ASCII)
_MAX_BYTES = 1 << 20


@dataclasses.dataclass(frozen=True)
class Labels:
    """Content of labels.json.

    Attributes:
      labels: version number by label.
      loading: versions that servers shall load, so that a label can move to them.
      base_path: the model's folder as servers see it; "" for where it is.
    """

    labels: dict[str, Annotated[int, Ge(0)]] = dataclasses.field(default_factory=dict)
    loading: tuple[int, ...] = ()
    base_path: str = ""

    def of(self, number: int) -> list[str]:
        """Return the labels of a version, sorted."""
        return sorted(name for name, version in self.labels.items() if version == number)


def read_labels(models: str) -> Labels:
    """Return the labels of a model's versions.

    Raises:
      DataError: the file is damaged.
      StorageError: the object store cannot be read.
    """
    path = join(models, LABELS_JSON)
    try:
        content = artifact_files.read_bytes(path)
    except (FileNotFoundError, NotADirectoryError, ObjectMissing):
        return Labels()
    try:
        if len(content) > _MAX_BYTES:
            raise ValueError(f"larger than {_MAX_BYTES} bytes")
        found = typed_json.parse(Labels, json.loads(content))
        for name in found.labels:
            if not LABEL_NAME.fullmatch(name):
                raise ValueError(f"'{printable(name[:80])}' is not a label")
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{path}: damaged ({str(error)[:200]}); delete it, and set the labels again"
        ) from error
    return found


def set_label(
    models: str,
    number: int,
    name: str,
    *,
    base_path: str | None = None,
    loaded: Collection[int] = (),
) -> bool:
    """Give a version a label, which it takes from any other.

    A server moves a label only to a version that it serves. To move one to another version, first
    that version is listed for loading alone.

    Args:
      models: the folder of the model's versions.
      number: a version.
      name: the label.
      base_path: the model's folder as servers see it; None for what was set before.
      loaded: versions that a server is known to serve.

    Returns:
      False if the label did not move yet; call again when servers serve the version.

    Raises:
      UsageError: the label cannot be used, or there is no such complete version.
    """
    if not LABEL_NAME.fullmatch(name):
        raise UsageError(
            f"'{printable(name[:80])}' is not a label; use up to 64 letters, digits, '_', '-' and "
            "'.', a letter first"
        )
    check_base_path(base_path)
    versions = list_versions(models)
    if number not in versions or not versions[number].is_complete:
        raise UsageError(no_version(models, number))
    before = read_labels(models)
    if base_path is not None:
        before = dataclasses.replace(before, base_path=base_path)
    complete = [one.number for one in versions.values() if one.is_complete]
    ready = {*_served(before, complete), *loaded}
    if before.labels.get(name, number) != number and number not in ready:
        loading = tuple(sorted({*before.loading, number}))
        _write(models, dataclasses.replace(before, loading=loading), complete)
        return False
    after = dataclasses.replace(
        before,
        labels={**before.labels, name: number},
        loading=tuple(one for one in before.loading if one != number),
    )
    _write(models, after, complete)
    return True


def remove_label(models: str, name: str) -> int:
    """Remove a label; return the version that had it.

    Raises:
      UsageError: there is no such label.
    """
    before = read_labels(models)
    if name not in before.labels:
        known = ", ".join(sorted(before.labels)) or "none"
        raise UsageError(f"{models}: there is no label {printable(name[:80])}; labels: {known}")
    labels = {key: version for key, version in before.labels.items() if key != name}
    _write(models, dataclasses.replace(before, labels=labels), _complete(models))
    return before.labels[name]


def refresh(models: str) -> None:
    """Write models.config anew after the versions changed, if there are or were any labels."""
    found = read_labels(models)
    if found != Labels():
        _write(models, found, _complete(models))


def no_version(models: str, number: int) -> str:
    """Return why a version cannot be used: it does not exist, or is incomplete."""
    versions = list_versions(models)
    if number in versions:
        return (
            f"version {number} in {models} is incomplete: {versions[number].missing} is missing; "
            "choose another, or wait until it is copied"
        )
    listed = ", ".join(map(str, versions)) or "none"
    return f"there is no version {number} in {models}; versions: {listed}"


def check_base_path(base_path: str | None) -> None:
    """Raise UsageError for a path that a server's configuration cannot hold."""
    if base_path and not (
        base_path.startswith(("/", "s3://", "gs://")) and base_path.isprintable()
    ):
        raise UsageError(
            f"--base-path {printable(base_path)}: must be an absolute path, such as "
            f"/models/{MODEL_NAME}"
        )


def config_text(base_path: str, labels: Mapping[str, int], served: Collection[int]) -> str:
    """Return a ModelServerConfig as text.

    Args:
      base_path: the model's folder as servers see it.
      labels: version number by label.
      served: the versions to serve; empty for the newest alone.
    """
    numbers = " ".join(f"versions: {number}" for number in sorted(served))
    policy = f"specific {{ {numbers} }}" if served else "latest { num_versions: 1 }"
    quoted = base_path.replace("\\", "\\\\").replace('"', '\\"')
    lines = [
        f"# Written by `genreflow models` from {LABELS_JSON}; changes by hand are lost.",
        "model_config_list {",
        "  config {",
        f'    name: "{MODEL_NAME}"',
        f'    base_path: "{quoted}"',
        '    model_platform: "tensorflow"',
        f"    model_version_policy {{ {policy} }}",
        *(
            f'    version_labels {{ key: "{name}" value: {number} }}'
            for name, number in sorted(labels.items())
        ),
        "  }",
        "}",
    ]
    return "\n".join(lines) + "\n"


def _write(models: str, labels: Labels, complete: Collection[int]) -> None:
    # A label of a version that someone deleted would make servers refuse the whole file.
    there = {name: one for name, one in labels.labels.items() if one in complete}
    served = _served(labels, complete) if there or labels.loading else ()
    place = labels.base_path or (models if "://" in models else os.path.abspath(models))
    text = json.dumps(dataclasses.asdict(labels), indent=1, sort_keys=True)
    artifact_files.write_text(join(models, LABELS_JSON), text)
    artifact_files.write_text(join(models, MODELS_CONFIG), config_text(place, there, served))


def _served(labels: Labels, complete: Collection[int]) -> list[int]:
    """Return the versions that servers load: the newest, and all with a label."""
    wanted = {max(complete, default=-1), *labels.labels.values(), *labels.loading}
    return sorted(wanted & set(complete))


def _complete(models: str) -> list[int]:
    return [one.number for one in list_versions(models).values() if one.is_complete]
