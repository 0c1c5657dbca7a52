"""The right to write a table: one run at a time.

A local folder is locked by the kernel, which releases it with the process. An object store has no
locks, so a run renews a sign of life there, and the next one waits whether it still changes.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import secrets
import threading
import time
from collections.abc import Callable, Iterator

from components.artifacts import files
from components.common.errors import UsageError
from components.storage.errors import ObjectMissing, StorageError
from components.storage.uri import is_remote
from genreflow.labelling.table import TableFolder

LOCK_FILE = ".lock"
BEAT_SECONDS = 10.0
# A run that did not renew its sign for so long is dead.
SILENT_SECONDS = 35.0


@contextlib.contextmanager
def claimed(folder: TableFolder, waiting: Callable[[], None] = lambda: None) -> Iterator[str]:
    """Hold the right to write a table, and yield the run's token.

    Args:
      folder: the table's; a local one exists.
      waiting: called before a wait for a run that was perhaps killed.

    Raises:
      UsageError: another run writes the table.
      StorageError: the object store cannot be reached.
    """
    token = secrets.token_hex(8)
    if not is_remote(folder.root):
        with _locked(folder):
            _write(folder, token, 0)
            try:
                yield token
            finally:
                pathlib.Path(folder.run).unlink(missing_ok=True)
                with contextlib.suppress(OSError):  # what a run left to be resumed is in it
                    os.rmdir(folder.work)
        return
    _wait_for_silence(folder, waiting)
    _write(folder, token, 0)
    ended = threading.Event()
    beating = threading.Thread(
        target=_beat, args=(folder, token, ended), name="label-beat", daemon=True
    )
    beating.start()
    try:
        yield token
    finally:
        ended.set()
        beating.join()
        with contextlib.suppress(StorageError):
            if _is_own(_read(folder), token):
                files.remove(folder.run)


def _in_use(folder: TableFolder) -> UsageError:
    return UsageError(
        f"{folder.root}: another run is writing this table; wait until it ends, or choose another "
        "--output"
    )


@contextlib.contextmanager
def _locked(folder: TableFolder) -> Iterator[None]:
    import filelock

    path = pathlib.Path(folder.root, LOCK_FILE)
    lock = filelock.FileLock(path)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout as error:
        raise _in_use(folder) from error
    except OSError as error:
        raise UsageError(
            f"{folder.root}: cannot be written ({error.strerror}); choose another --output"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _wait_for_silence(folder: TableFolder, waiting: Callable[[], None]) -> None:
    """Return when no run renews its sign of life; raise UsageError as soon as one does."""
    found = _read(folder)
    if not found:
        return
    waiting()
    deadline = time.monotonic() + SILENT_SECONDS
    while time.monotonic() < deadline:
        time.sleep(min(BEAT_SECONDS, SILENT_SECONDS) / 5)
        now = _read(folder)
        if not now:
            return
        if now != found:
            raise _in_use(folder)


def _beat(folder: TableFolder, token: str, ended: threading.Event) -> None:
    beat = 0
    while not ended.wait(BEAT_SECONDS):
        beat += 1
        # One lost sign is no harm, and the work itself meets the same store.
        with contextlib.suppress(StorageError):
            if not _is_own(_read(folder), token):
                return  # two began at once: only the later one lives on, or both would for ever
            _write(folder, token, beat)


def _write(folder: TableFolder, token: str, beat: int) -> None:
    files.write_text(folder.run, json.dumps({"token": token, "beat": beat}))


def _is_own(sign: str, token: str) -> bool:
    return bool(sign) and json.loads(sign)["token"] == token


def _read(folder: TableFolder) -> str:
    try:
        return files.read_text(folder.run)
    except (FileNotFoundError, ObjectMissing):
        return ""
