"""Adding of a version to a model's folder, so that no server ever sees half of one.

Its number is above all others, and at least the time in seconds since 1970: servers serve the
highest number. On a disk the folder is filled under another name and then renamed. An object store
cannot rename, so `saved_model.pb`, without which no server loads a version, is written last; a
claim keeps two writers from taking the same number.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping

from components.artifacts import files as artifact_files
from components.common.errors import DataError, GenreflowError
from components.common.model_contract import SAVED_MODEL, VERSION_RECORD
from components.common.version_files import VERSION_NAME
from components.storage import objects
from components.storage.errors import ObjectMissing
from components.storage.uri import is_remote, join
from components.versions.folder import VersionFolder, list_versions

PARTIAL_PREFIX = ".partial-"
CLAIMS_FOLDER = ".claims"
_MAX_ATTEMPTS = 20
_MAX_WAIT_SECONDS = 0.2

# Returns the record's text for a number.
Record = Callable[[int], str]


class VersionGone(DataError):  # noqa: N818  an outcome
    """Error for a version that was deleted while it was copied."""


def add_folder(
    models: str, source: str, record: Record, beside: Mapping[str, bytes] | None = None
) -> int:
    """Add a SavedModel of a local folder as a new version; return its number.

    Args:
      models: the folder of the model's versions; a path or an s3:// URI.
      source: the SavedModel's folder.
      record: returns the record's text for the version's number.
      beside: content of further files by their path below the version's folder.

    Raises:
      StorageError: the object store cannot be written.
      OSError: the folder cannot be written.
    """
    beside = beside or {}
    if not is_remote(models):
        return _add_local(models, source, record, beside)
    with _claimed(models) as number, _removed_on_failure(join(models, str(number))) as target:
        objects.write(join(target, VERSION_RECORD), record(number).encode())
        for name, content in beside.items():
            objects.write(join(target, name), content)
        objects.upload_folder(source, target, last=SAVED_MODEL)
        return number


def add_copy(models: str, source: VersionFolder, record: Record) -> int:
    """Add a copy of a complete version as a new version; return its number.

    Args:
      models: the folder of the model's versions, which holds `source`.
      source: the version to copy.
      record: returns the new record's text for the version's number.

    Raises:
      VersionGone: the version was deleted meanwhile; nothing was added.
      StorageError: the object store cannot be written.
      OSError: the folder cannot be written.
    """
    try:
        if not is_remote(models):
            return _add_local(models, source.uri, record, {})
        names = sorted(source.files, key=lambda name: name == SAVED_MODEL)
        with _claimed(models) as number, _removed_on_failure(join(models, str(number))) as target:
            objects.write(join(target, VERSION_RECORD), record(number).encode())
            # Whoever deletes a version deletes its saved_model.pb first. So if that is copied, all
            # others were.
            for name in names:
                if name != VERSION_RECORD:
                    objects.copy(join(source.uri, name), join(target, name))
            return number
    except (FileNotFoundError, shutil.Error, ObjectMissing) as error:
        raise VersionGone(
            f"version {source.number} was deleted while it was copied; nothing was added"
        ) from error


def _add_local(models: str, source: str, record: Record, beside: Mapping[str, bytes]) -> int:
    os.makedirs(models, exist_ok=True)
    # os.mkdir and not tempfile, whose folders only their owner may read.
    partial = os.path.join(models, f"{PARTIAL_PREFIX}{secrets.token_hex(8)}")
    os.mkdir(partial)
    try:
        for path in pathlib.Path(source).rglob("*"):
            if path.is_symlink():
                raise DataError(f"{path}: is a link; replace it with the file itself")
        shutil.copytree(source, partial, dirs_exist_ok=True, copy_function=shutil.copyfile)
        if not os.path.isfile(os.path.join(partial, SAVED_MODEL)):
            raise FileNotFoundError(f"{source}/{SAVED_MODEL}: no such file")
        for name, content in beside.items():
            artifact_files.write_bytes(os.path.join(partial, name), content)
        for _ in range(_MAX_ATTEMPTS):
            number = _next_number(models)
            target = os.path.join(models, str(number))
            artifact_files.write_text(os.path.join(partial, VERSION_RECORD), record(number))
            if _moved(partial, target):
                return number
        raise _no_number(models)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _moved(partial: str, target: str) -> bool:
    """Give a folder its final name; return False if another writer took that name."""
    if os.path.lexists(target):
        return False
    try:
        os.rename(partial, target)
        return True
    except OSError:
        if os.path.lexists(target):
            return False
    # A mounted object store may be unable to rename a folder.
    try:
        os.mkdir(target)
    except FileExistsError:
        return False
    files = [path for path in sorted(pathlib.Path(partial).rglob("*")) if path.is_file()]
    try:
        for path in sorted(files, key=lambda path: path.name == SAVED_MODEL):
            place = pathlib.Path(target, path.relative_to(partial))
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise
    return True


def _next_number(models: str, *, above: int = 0) -> int:
    return max(int(time.time()), above + 1, *(number + 1 for number in list_versions(models)), 1)


@contextlib.contextmanager
def _claimed(models: str) -> Iterator[int]:
    """Yield a number that no other writer takes meanwhile.

    Each writer puts an object of its own below the number, and then lists them. Of two writers at
    least one sees the other, because listings are consistent; who sees another tries again.
    """
    claims = join(models, CLAIMS_FOLDER)
    token = secrets.token_hex(8)
    for attempt in range(_MAX_ATTEMPTS):
        names = [item.uri.split("/")[-2] for item in objects.list_objects(f"{claims}/")]
        taken = [int(name) for name in names if VERSION_NAME.fullmatch(name)]
        number = _next_number(models, above=max(taken, default=0)) + secrets.randbelow(attempt + 1)
        mine = join(claims, str(number), token)
        objects.write(mine, b"")
        try:
            alone = [item.uri for item in objects.list_objects(f"{claims}/{number}/")] == [mine]
            if alone and not objects.any_below(join(models, str(number))):
                yield number
                return
        finally:
            objects.delete(mine)
        time.sleep(secrets.randbelow(1000) / 1000 * _MAX_WAIT_SECONDS)
    raise _no_number(models)


@contextlib.contextmanager
def _removed_on_failure(target: str) -> Iterator[str]:
    """Yield a version's folder in an object store, whose objects are deleted on failure."""
    try:
        yield target
    except BaseException:
        with contextlib.suppress(GenreflowError):
            objects.delete(join(target, SAVED_MODEL))
            objects.delete_below(target)
        raise


def _no_number(models: str) -> GenreflowError:
    return GenreflowError(
        f"{models}: {_MAX_ATTEMPTS} attempts to take a version's number failed, because others "
        "took it first; run the command again"
    )
