"""Where a run puts its artifacts and its models, and that no other run is harmed there."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import secrets

from components.artifacts import files as artifact_files
from components.common.errors import UsageError
from components.common.model_contract import MODEL_NAME, SAVED_MODEL
from components.storage import objects
from components.storage.errors import ObjectForbidden, ObjectMissing, StorageSetupError
from components.storage.uri import is_remote, join, place
from pipeline.config.schema import StorageSettings
from pipeline.work_dir import WorkDir

PIPELINE_NAME = "genreflow"
OWNER_FILE = "genreflow-owner.txt"


@dataclasses.dataclass(frozen=True)
class Places:
    """Absolute local folders or s3:// URIs. `models` holds the pushed versions."""

    pipeline_root: str
    models: str

    @classmethod
    def of(cls, settings: StorageSettings, work_dir: WorkDir) -> Places:
        """Those of a configuration; what it leaves open lies in the work folder."""
        root = settings.pipeline_root
        destination = settings.push_destination
        return cls(
            pipeline_root=_absolute(root) if root else str(work_dir.pipeline_root),
            models=join(
                _absolute(destination) if destination else str(work_dir.serving_root), MODEL_NAME
            ),
        )


def claim(places: Places, work_dir: WorkDir) -> None:
    """Makes a pipeline root outside the work folder this folder's own, and tries both places.

    Artifacts are named by the numbers of the work folder's metadata, which begin at 1 in each
    work folder: two that shared a root would overwrite each other's. Writing the name of the
    owner also shows now, and not after hours, whether the place can be written.

    Raises:
      UsageError: another work folder owns the root, or a place cannot be written.
      StorageError: an object store cannot be asked.
    """
    if places.pipeline_root != str(work_dir.pipeline_root):
        _own(places.pipeline_root, work_dir)
    if is_remote(places.models):
        probe = join(places.models, ".write-test")
        try:
            objects.write(probe, b"")
            objects.delete(probe)
        except ObjectForbidden as error:
            raise StorageSetupError(f"storage.push_destination: {error}") from error


def complete_versions(models: str) -> list[str]:
    """The names of the versions that are whole, oldest first."""
    if is_remote(models):
        prefix = f"{models}/"
        parts = [item.uri[len(prefix) :].split("/") for item in objects.list_objects(prefix)]
        found = [names[0] for names in parts if len(names) == 2 and names[1] == SAVED_MODEL]
    else:
        found = [path.parent.name for path in pathlib.Path(models).glob(f"*/{SAVED_MODEL}")]
    return sorted((name for name in found if name.isascii() and name.isdecimal()), key=int)


def _own(root: str, work_dir: WorkDir) -> None:
    ours = work_dir.root / ".owner"
    if not ours.exists():
        ours.write_text(secrets.token_hex(8), encoding="utf-8")
    name = ours.read_text(encoding="utf-8")
    path = join(root, OWNER_FILE)
    try:
        found = artifact_files.read_text(path).strip()
    except (FileNotFoundError, ObjectMissing):
        found = ""
    except ObjectForbidden as error:
        raise StorageSetupError(f"storage.pipeline_root: {error}") from error
    if found and found != name:
        raise UsageError(
            f"{root}: this pipeline root belongs to another work folder than {work_dir.root}, "
            "whose artifacts would be overwritten; set storage.pipeline_root to a folder of "
            f"its own (or, if that work folder is gone, delete {path})"
        )
    try:
        artifact_files.write_text(path, name + "\n")
    except ObjectForbidden as error:
        raise StorageSetupError(f"storage.pipeline_root: {error}") from error
    except OSError as error:
        raise UsageError(f"{root}: cannot be written ({error.strerror})") from error


def _absolute(text: str) -> str:
    checked = place(text, "storage")
    return checked if is_remote(checked) else os.path.abspath(os.path.expanduser(checked))
