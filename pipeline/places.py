"""Places of a run's artifacts and models, and their protection from other runs."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import secrets

from components.artifacts.files import read_text, remove, write_text
from components.common.errors import GenreflowError, UsageError
from components.common.model_contract import MODEL_NAME
from components.storage import objects
from components.storage.errors import ObjectForbidden, ObjectMissing, StorageSetupError
from components.storage.uri import checked_place, is_remote, join
from pipeline.config.schema import NO_STORE, Config, StorageSettings
from pipeline.work_dir import WorkDir

PIPELINE_NAME = "genreflow"
OWNER_FILE = "genreflow-owner.txt"


@dataclasses.dataclass(frozen=True)
class Places:
    """Places of a run: absolute local folders or s3:// URIs.

    Attributes:
      pipeline_root: TFX's artifacts.
      models: folder of the pushed versions.
    """

    pipeline_root: str
    models: str

    @classmethod
    def of(cls, settings: StorageSettings, work_dir: WorkDir) -> Places:
        """Return the places of a configuration; by default they are in the work folder."""
        root = settings.pipeline_root
        destination = settings.push_destination
        return cls(
            pipeline_root=_absolute(root) if root else str(work_dir.pipeline_root),
            models=join(
                _absolute(destination) if destination else str(work_dir.serving_root), MODEL_NAME
            ),
        )


def clip_store(config: Config, pipeline_root: str, *, default: str) -> str:
    """Return the folder or URI of the store of decoded clips; "" for none.

    Args:
      config: the configuration; its storage.clip_store comes first.
      pipeline_root: where the artifacts are.
      default: the store if the configuration names none; a local folder.
    """
    chosen = config.storage.clip_store
    if chosen:
        return "" if chosen == NO_STORE else _absolute(chosen)
    if config.beam.runs_elsewhere("audio") and config.storage.pipeline_root:
        # Workers see the artifacts' place, and perhaps nothing else of this machine.
        return "" if is_remote(pipeline_root) else join(pipeline_root, "cache")
    return default


def claim(places: Places, work_dir: WorkDir) -> None:
    """Make the work folder the owner of its pipeline root, and check that it can write there.

    Artifacts are named by numbers from the work folder's metadata, which start at 1 in each work
    folder. Two work folders with one root would overwrite each other's artifacts. Writing the
    owner's name also shows at once whether the place is writable.

    Raises:
      UsageError: another work folder owns the root, or a place cannot be written.
      StorageError: an object store cannot be reached.
    """
    if places.pipeline_root != str(work_dir.pipeline_root):
        _claim_root(places.pipeline_root, work_dir)
    if is_remote(places.models):
        probe = join(places.models, ".write-test")
        try:
            objects.write(probe, b"")
            objects.delete(probe)
        except ObjectForbidden as error:
            raise StorageSetupError(f"storage.push_destination: {error}") from error


def release(places: Places, work_dir: WorkDir) -> None:
    """Undo the claim of a work folder that is about to be removed."""
    ours, path = work_dir.root / ".owner", join(places.pipeline_root, OWNER_FILE)
    if not ours.exists():
        return
    with contextlib.suppress(GenreflowError, OSError):
        if read_text(path).strip() == ours.read_text(encoding="utf-8"):
            remove(path)


def _claim_root(root: str, work_dir: WorkDir) -> None:
    ours = work_dir.root / ".owner"
    if not ours.exists():
        ours.write_text(secrets.token_hex(8), encoding="utf-8")
    name = ours.read_text(encoding="utf-8")
    path = join(root, OWNER_FILE)
    try:
        found = read_text(path).strip()
    except (FileNotFoundError, ObjectMissing):
        found = ""
    except ObjectForbidden as error:
        raise StorageSetupError(f"storage.pipeline_root: {error}") from error
    if found and found != name:
        raise UsageError(
            f"{root}: this pipeline root belongs to another work folder than {work_dir.root}, and "
            "its artifacts would be overwritten; set storage.pipeline_root to another folder (or, "
            f"if the other work folder no longer exists, delete {path})"
        )
    try:
        write_text(path, name + "\n")
    except ObjectForbidden as error:
        raise StorageSetupError(f"storage.pipeline_root: {error}") from error
    except OSError as error:
        raise UsageError(
            f"{root}: cannot be written ({error.strerror}); set another storage.pipeline_root"
        ) from error


def _absolute(text: str) -> str:
    checked = checked_place(text, "storage")
    return checked if is_remote(checked) else os.path.abspath(os.path.expanduser(checked))
