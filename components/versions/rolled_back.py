"""Versions that a rollback replaced, so that no run pushes the same model again.

Each has a file `rolled_back/<version>.json` beside the versions, named by the version that was
pushed with the files (not by a copy). One file each needs no lock: whoever rolls back, withdraws a
record or pushes meanwhile touches no other's. A record outlives a prune of its version, and servers
skip the folder, because its name is no number.

A candidate is the same model if it has the same weights (`model_digest`), or if it was trained on
the same clips with the same settings, code and versions of libraries (`training_inputs`): on
another machine or a GPU such a training gives other weights, but the same model to people. Mended
labels, other settings or a new version of Genreflow make another model.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import shlex
from typing import Annotated, Literal

from annotated_types import Ge

from components.artifacts import files as artifact_files
from components.artifacts import typed_json
from components.common.errors import DataError, UsageError
from components.common.escape import printable
from components.common.version_files import VERSION_NAME
from components.export.assets import read_card
from components.storage import objects
from components.storage.errors import ObjectMissing
from components.storage.uri import is_remote, join

FOLDER = "rolled_back"
MAX_REASON = 500
_MAX_BYTES = 1 << 16


@dataclasses.dataclass(frozen=True)
class ModelIdentifiers:
    """Identifiers of a model, of which either is equal for the same model; "" if not known."""

    digest: str = ""
    training_inputs: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RolledBackVersion:
    """Record of a version that a rollback replaced.

    Attributes:
      schema_version: Version of this schema.
      version: The version that was pushed.
      at: Time of the rollback, ISO 8601 in UTC.
      reason: Reason that was given, or "".
      model: What identifies its model.
    """

    schema_version: Literal[1] = 1
    version: Annotated[int, Ge(0)]
    at: str
    reason: str = ""
    model: ModelIdentifiers

    @property
    def when(self) -> str:
        """Words on when and why, such as "rolled back on 2026-11-30: misses jazz"."""
        said = f"rolled back on {printable(self.at[:10])}"
        return f"{said}: {printable(self.reason)}" if self.reason else said


def identifiers(saved_model: str) -> ModelIdentifiers:
    """Return what identifies an exported model.

    Args:
      saved_model: folder of the SavedModel; a path or a URI.
    """
    try:
        card = read_card(saved_model)
    except DataError:
        return ModelIdentifiers()
    return ModelIdentifiers(
        *(str(card.get(key) or "") for key in ("model_digest", "training_inputs"))
    )


def read_all(models: str) -> dict[int, RolledBackVersion]:
    """Return the records by version, in ascending order.

    Args:
      models: the folder of the model's versions; a path or an s3:// URI.

    Raises:
      DataError: a file is damaged.
      StorageError: the object store cannot be read.
    """
    folder = join(models, FOLDER)
    if is_remote(models):
        names = [item.uri.rpartition("/")[2] for item in objects.list_objects(f"{folder}/")]
    else:
        names = os.listdir(folder) if os.path.isdir(folder) else []
    numbers = sorted(
        int(stem)
        for stem, end in map(os.path.splitext, names)
        if end == ".json" and VERSION_NAME.fullmatch(stem)
    )
    found = {number: _read(models, number) for number in numbers}
    return {number: record for number, record in found.items() if record is not None}


def add(models: str, record: RolledBackVersion) -> bool:
    """Add or replace a record; return True if it is new.

    Raises:
      StorageError: the object store cannot be written.
      OSError: the folder cannot be written.
    """
    is_new = not _is_there(models, record.version)
    text = json.dumps(dataclasses.asdict(record), indent=1, ensure_ascii=False)
    artifact_files.write_text(_path(models, record.version), text)
    return is_new


def withdraw(models: str, version: int) -> bool:
    """Delete the record of a version; return False if there is none.

    Raises:
      StorageError: the object store cannot be written.
      OSError: the file cannot be deleted.
    """
    was_there = _is_there(models, version)
    if is_remote(models):
        objects.delete(_path(models, version))
    else:
        pathlib.Path(_path(models, version)).unlink(missing_ok=True)
    return was_there


def refusal(models: str, candidate: ModelIdentifiers) -> str:
    """Return why a candidate is not pushed, and how to push it anyway; "" if it may be.

    Raises:
      DataError: a record is damaged.
      StorageError: the object store cannot be read.
    """
    same = _same(read_all(models), candidate)
    if same is None:
        return ""
    record, why = same
    return (
        f"{why} version {record.version}, which was {record.when}; to push it anyway, type "
        f"`{allow_command(models, record.version)}` and rerun"
    )


def allow_command(models: str, version: int) -> str:
    """Return the command line that lets runs push a version's model again."""
    return shlex.join(["genreflow", "models", "allow", str(version), "--destination", models])


def check_reason(reason: str) -> None:
    """Raise UsageError for a reason that is too long."""
    if len(reason) > MAX_REASON:
        raise UsageError(f"--reason has {len(reason)} characters; use at most {MAX_REASON}")


def _same(
    records: dict[int, RolledBackVersion], candidate: ModelIdentifiers
) -> tuple[RolledBackVersion, str] | None:
    """Return the newest record of the same model, and how it is the same."""
    for record in reversed(records.values()):
        if candidate.digest and candidate.digest == record.model.digest:
            return record, "the candidate is the model of"
        if candidate.training_inputs and candidate.training_inputs == record.model.training_inputs:
            return record, "the candidate learned from the same clips with the same settings as"
    return None


def _read(models: str, number: int) -> RolledBackVersion | None:
    path = _path(models, number)
    try:
        content = artifact_files.read_bytes(path)
    except (FileNotFoundError, ObjectMissing):  # withdrawn meanwhile
        return None
    try:
        if len(content) > _MAX_BYTES:
            raise ValueError(f"larger than {_MAX_BYTES} bytes")
        record = typed_json.parse(RolledBackVersion, json.loads(content))
        if record.version != number:
            raise ValueError(f"it is of version {record.version}")
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{path}: damaged ({str(error)[:200]}); delete it to let runs push that model again"
        ) from error
    return record


def _is_there(models: str, number: int) -> bool:
    path = _path(models, number)
    return objects.find(path) is not None if is_remote(models) else os.path.exists(path)


def _path(models: str, number: int) -> str:
    return join(models, FOLDER, f"{number}.json")
