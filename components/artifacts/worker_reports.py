"""Reports of a Beam job's workers: how much of each piece of work is done.

Runners differ in what they tell while a job runs: Beam's Python job service has no metrics before
the end, its local runner neither, and workers on other machines do not share the event file of
components.common.progress. So each worker keeps a small file for its piece of work in a folder
that the submitter reads. The size of the file in bytes is what is done. One listing, of 1,000
files a request in an object store, then tells the progress of all workers, and that they live.
"""

from __future__ import annotations

import os
import time

from components.artifacts import files
from components.storage import objects
from components.storage.uri import is_remote

# An object costs a request (about 5 USD per million), a local file nothing.
_REMOTE_SECONDS = 10.0
_LOCAL_SECONDS = 0.5


def seconds_between(folder: str) -> float:
    """Return how often, in seconds, to write and to read reports in a folder."""
    return _REMOTE_SECONDS if is_remote(folder) else _LOCAL_SECONDS


class WorkerReport:
    """Report on one piece of work.

    Work that starts again, after a failure or elsewhere, starts its report again.
    """

    def __init__(self, folder: str, name: str) -> None:
        """Initialize the report and write that the work begins.

        Args:
          folder: a path, or an s3:// URI.
          name: of the piece of work; a file name.
        """
        self._path = os.path.join(folder, name)
        self._every = seconds_between(folder)
        self._done = 0
        self.write()

    def add(self, count: int = 1) -> None:
        """Count more as done; written at most every few seconds."""
        self._done += count
        if time.monotonic() >= self._due:
            self.write()

    def write(self) -> None:
        """Write what is done.

        Raises:
          OSError: the file cannot be written.
          StorageError: the object cannot be written.
        """
        files.write_bytes(self._path, b"." * self._done)
        self._due = time.monotonic() + self._every


def read_reports(folder: str) -> dict[str, int]:
    """Return what is done of each piece of work that has begun, by name.

    Raises:
      StorageError: the object store cannot be listed.
    """
    if is_remote(folder):
        prefix = f"{folder.rstrip('/')}/"
        return {
            item.uri[len(prefix) :]: item.state.size_bytes for item in objects.list_objects(prefix)
        }
    found = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.name.startswith("."):  # one that is being written
                    found[entry.name] = entry.stat().st_size
    except FileNotFoundError:  # the folder, or a file that was replaced meanwhile
        pass
    return found
