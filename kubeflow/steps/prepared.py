"""What the first step hands to all others: the compiled pipeline of this run, as one JSON file."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import pathlib
from typing import Any

from components.artifacts import files as artifact_files
from components.common.errors import DataError, UsageError
from components.storage.errors import ObjectMissing
from components.storage.uri import join

FILE = "pipeline.json"
ROOT_HELP = "a folder that all steps share, or an s3:// URI"
SCHEMA_VERSION = 1
_ROOT = pathlib.Path(__file__).resolve().parents[2]
_PACKAGES = ("components", "kubeflow", "pipeline")


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A run that can start.

    `run_id`: its name in ML Metadata. `pipeline_root`: where artifacts go. `models`: where
    versions are pushed. `config`, `facts`: JSON values of Config and DataFacts. `nodes`: the
    graph's node ids in order. `ir`: TFX's intermediate representation, its proto's bytes in
    base64: as JSON it could only be read with all libraries whose messages are in it.
    """

    run_id: str
    pipeline_root: str
    models: str
    config: dict[str, Any]
    facts: dict[str, Any]
    nodes: list[str]
    ir: str


def run_folder(root: str, run_id: str) -> str:
    """Where a run keeps what is its own: pipeline.json, and results in the end."""
    return join(root, "runs", run_id)


def write(prepared: Prepared, folder: str) -> str:
    """Writes pipeline.json, whole or not at all; returns where it is."""
    path = join(folder, FILE)
    content = {
        "schema_version": SCHEMA_VERSION,
        "code": project_digest(),
        **dataclasses.asdict(prepared),
    }
    artifact_files.write_text(path, json.dumps(content, sort_keys=True))
    return path


def read(path: str) -> Prepared:
    """Reads pipeline.json.

    Raises:
      UsageError: it is not there, or was written by another version of the project.
      DataError: it is damaged.
    """
    try:
        content = json.loads(artifact_files.read_text(path))
    except (FileNotFoundError, ObjectMissing) as error:
        raise UsageError(
            f"{path}: the run's first step left no pipeline here; is the pipeline root one place "
            "that all steps share (a bucket, or a volume that each of them mounts)?"
        ) from error
    except ValueError as error:
        raise DataError(f"{path}: not JSON ({error}); start the run again") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: not what the first step writes; start the run again")
    found = (content.pop("schema_version", None), content.pop("code", None))
    if found != (SCHEMA_VERSION, project_digest()):
        raise UsageError(
            f"{path}: was prepared by another version of genreflow than runs here; give all steps "
            "the same image (a digest or a version, not a tag that moves), and start a new run"
        )
    names = {field.name for field in dataclasses.fields(Prepared)}
    if content.keys() != names:
        raise DataError(f"{path}: not what the first step writes; start the run again")
    return Prepared(**content)


@functools.cache
def project_digest() -> str:
    """16 hex digits over the sources of all that runs in a step."""
    digest = hashlib.sha256()
    for package in _PACKAGES:
        for source in sorted((_ROOT / package).rglob("*.py")):
            digest.update(f"{source.relative_to(_ROOT).as_posix()}\0".encode())
            digest.update(hashlib.sha256(source.read_bytes()).digest())
    return digest.hexdigest()[:16]


def check_shared_root(root: str, volume: str = "") -> None:
    """Refuses a root that lies in a container's own file system.

    Args:
      root: the pipeline root.
      volume: where a volume is mounted, below which the root is made when it is not there;
        "" for none.

    Raises:
      UsageError: a relative path; or a folder that is not there, as no volume is mounted.
    """
    from components.storage.uri import is_remote

    if is_remote(root):
        return
    if not os.path.isabs(root):
        raise UsageError(f"{root}: the pipeline root must be an absolute path or an s3:// URI")
    if volume and os.path.isdir(volume) and f"{root}/".startswith(f"{volume.rstrip('/')}/"):
        os.makedirs(root, exist_ok=True)
    if not os.path.isdir(root):
        raise UsageError(
            f"{root}: no such folder in this container; the pipeline root must lie on a volume "
            "that every step mounts, or in a bucket"
        )
