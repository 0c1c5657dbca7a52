"""The compiled pipeline of one run: a JSON file that the first step writes and all others read."""

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
from components.storage.uri import is_remote, join

FILE = "pipeline.json"
ROOT_HELP = "a folder that all steps share, or an s3:// URI"
SCHEMA_VERSION = 1
_ROOT = pathlib.Path(__file__).resolve().parents[2]
# Top-level packages that steps execute; ServingCheck starts a server of `serving`.
_PACKAGES = ("components", "kubeflow", "pipeline", "serving")


@dataclasses.dataclass(frozen=True)
class PreparedRun:
    """Run that is ready to start.

    Attributes:
      run_id: the run's name in ML Metadata.
      pipeline_root: folder or URI of the artifacts.
      models: folder or URI of the model's versions.
      config: JSON values of Config.
      facts: JSON values of DataFacts.
      nodes: the graph's node ids, in order.
      ir: TFX's intermediate representation, the proto's bytes in base64. JSON could only be read
        by a step that imports the libraries of all messages in it.
    """

    run_id: str
    pipeline_root: str
    models: str
    config: dict[str, Any]
    facts: dict[str, Any]
    nodes: list[str]
    ir: str


def run_folder(root: str, run_id: str) -> str:
    """Return a run's own folder, with pipeline.json and at the end the results."""
    return join(root, "runs", run_id)


def write(prepared: PreparedRun, folder: str) -> str:
    """Write pipeline.json, completely or not at all; return its path."""
    path = join(folder, FILE)
    content = {
        "schema_version": SCHEMA_VERSION,
        "code": project_digest(),
        **dataclasses.asdict(prepared),
    }
    artifact_files.write_text(path, json.dumps(content, sort_keys=True))
    return path


def read(path: str) -> PreparedRun:
    """Read pipeline.json.

    Raises:
      UsageError: the file is missing, or another version of the project wrote it.
      DataError: the file is damaged.
    """
    try:
        content = json.loads(artifact_files.read_text(path))
    except (FileNotFoundError, ObjectMissing) as error:
        raise UsageError(
            f"{path}: no such file, though the run's first step has written one; is the pipeline "
            "root shared by all steps (a bucket, or a volume that each of them mounts)?"
        ) from error
    except ValueError as error:
        raise DataError(f"{path}: not JSON ({error}); start a new run") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: not written by a run's first step; start a new run")
    found = (content.pop("schema_version", None), content.pop("code", None))
    if found != (SCHEMA_VERSION, project_digest()):
        raise UsageError(
            f"{path}: prepared by another version of genreflow than this step's; give all steps "
            "the same image (a digest or a version, not a tag that moves), and start a new run"
        )
    names = {field.name for field in dataclasses.fields(PreparedRun)}
    if content.keys() != names:
        raise DataError(f"{path}: not written by a run's first step; start a new run")
    return PreparedRun(**content)


def read_for_step(path: str, root: str) -> PreparedRun:
    """Read pipeline.json in a step of the run.

    Args:
      path: path of pipeline.json.
      root: the step's pipeline root.

    Raises:
      GenreflowError: the file is missing or damaged, or belongs to another root or version.
    """
    check_shared_root(root)
    run = read(path)
    if run.pipeline_root != root:
        raise UsageError(
            f"{root}: this run was prepared for the pipeline root {run.pipeline_root}; start a new "
            "run"
        )
    return run


@functools.cache
def project_digest() -> str:
    """Return 16 hex digits over the sources of all code that a step may execute."""
    digest = hashlib.sha256()
    for package in _PACKAGES:
        for source in sorted((_ROOT / package).rglob("*.py")):
            digest.update(f"{source.relative_to(_ROOT).as_posix()}\0".encode())
            digest.update(hashlib.sha256(source.read_bytes()).digest())
    return digest.hexdigest()[:16]


def check_shared_root(root: str, volume: str = "") -> None:
    """Check that a pipeline root is not in the container's own file system.

    Args:
      root: the pipeline root.
      volume: mount point of a volume, on which a missing root is created; "" for none.

    Raises:
      UsageError: the root is a relative path or a missing folder.
    """
    if is_remote(root):
        return
    if not os.path.isabs(root):
        raise UsageError(f"{root}: the pipeline root must be an absolute path or an s3:// URI")
    if volume and os.path.isdir(volume) and f"{root}/".startswith(f"{volume.rstrip('/')}/"):
        os.makedirs(root, exist_ok=True)
    if not os.path.isdir(root):
        raise UsageError(
            f"{root}: no such folder in this container; the pipeline root must be in a bucket, or "
            "on a volume that every step mounts"
        )
