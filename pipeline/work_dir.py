"""Work folder: its layout, its lock, and checks before a run."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import shutil
from collections.abc import Iterator

from components.artifacts.names import REJECTS_CSV
from components.common.errors import UsageError
from components.common.version_files import PUSH_FOLDER

# Version of the database schema that ML Metadata 1.16 and 1.21 write, and the only one they open.
METADATA_SCHEMA = 10
LOCK_FILE = ".lock"


class WorkDirError(UsageError):
    """Error for a work folder that cannot be used."""


@dataclasses.dataclass(frozen=True)
class WorkDir:
    """Work folder of runs; `root` is absolute."""

    root: pathlib.Path

    @classmethod
    def at(cls, path: str | os.PathLike[str]) -> WorkDir:
        """Return the work folder at a path, which need not exist yet.

        Raises:
          WorkDirError: the path is empty, or a file.
        """
        if not os.fspath(path).strip():
            raise WorkDirError("--work-dir is empty; name a folder")
        root = pathlib.Path(os.path.abspath(os.path.expanduser(path)))
        if root.exists() and not root.is_dir():
            raise WorkDirError(f"{root}: is a file; choose a folder with --work-dir")
        return cls(root)

    @property
    def logs(self) -> pathlib.Path:
        return self.root / "logs"

    @property
    def metadata(self) -> pathlib.Path:
        return self.root / "metadata.sqlite"

    @property
    def pipeline_root(self) -> pathlib.Path:
        return self.root / "pipeline"

    @property
    def schemas(self) -> pathlib.Path:
        return self.root / "pipeline" / "schemas"

    @property
    def serving_root(self) -> pathlib.Path:
        return self.root / PUSH_FOLDER

    @property
    def checkpoints(self) -> pathlib.Path:
        """Checkpoints of running and interrupted trainings."""
        return self.root / "checkpoints"

    @property
    def curves(self) -> pathlib.Path:
        """Curves of each network: a picture, and TensorBoard's files, written during training."""
        return self.root / "curves"

    @property
    def tuning(self) -> pathlib.Path:
        """Results of each tuning, in a folder per network."""
        return self.root / "tuning"

    @property
    def report(self) -> pathlib.Path:
        """Report page `index.html` and its plots."""
        return self.root / "report"

    @property
    def clip_store(self) -> pathlib.Path:
        """Decoded clips, kept between runs; deleting it is safe."""
        return self.root / "cache"

    @property
    def copies(self) -> pathlib.Path:
        """Local copies of artifacts in an object store, deleted after each run."""
        return self.root / "copies"

    @property
    def rejects(self) -> pathlib.Path:
        return self.root / REJECTS_CSV

    @property
    def corpus(self) -> pathlib.Path:
        """Synthetic corpus, made if no data folder is given."""
        return self.root / "corpus"

    def create(self) -> None:
        """Create the folders.

        Raises:
          WorkDirError: a folder cannot be created or written.
        """
        try:
            for folder in (self.root, self.logs, self.pipeline_root, self.serving_root):
                folder.mkdir(parents=True, exist_ok=True)
            probe = self.root / ".write-test"
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise WorkDirError(
                f"{self.root}: the work folder cannot be written ({error.strerror}); "
                "choose another with --work-dir"
            ) from error

    def is_fresh(self) -> bool:
        """Return whether no run has left a file here, except for the lock's."""
        files = (path for path in self.root.rglob("*") if not path.is_dir())
        return all(path.name == LOCK_FILE for path in files)

    def remove(self) -> None:
        """Remove the folder of a run that has not begun."""
        shutil.rmtree(self.root, ignore_errors=True)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder for one run; the lock is released even if the process is killed.

        Raises:
          WorkDirError: another run holds the lock.
        """
        import filelock

        lock = filelock.FileLock(self.root / LOCK_FILE)
        try:
            lock.acquire(blocking=False)
        except filelock.Timeout as error:
            raise WorkDirError(
                f"{self.root}: another run is using this work folder; wait until it ends, "
                "or choose another with --work-dir"
            ) from error
        try:
            yield
        finally:
            lock.release()

    def check_metadata(self) -> None:
        """Raise WorkDirError if there is a metadata store that ML Metadata could not open."""
        import sqlite3

        if not self.metadata.exists():
            return
        try:
            uri = f"{self.metadata.as_uri()}?mode=ro"
            with contextlib.closing(sqlite3.connect(uri, uri=True)) as database:
                tables = "SELECT name FROM sqlite_master WHERE name = 'MLMDEnv'"
                if not database.execute(tables).fetchall():
                    return  # an interrupted first run; ML Metadata makes its tables
                found = database.execute("SELECT schema_version FROM MLMDEnv").fetchall()
        except sqlite3.Error as error:
            raise WorkDirError(
                f"{self.metadata}: the metadata store cannot be read ({error}); choose another "
                "--work-dir, or delete the file to run everything again"
            ) from error
        if found != [(METADATA_SCHEMA,)]:
            versions = ", ".join(str(version) for (version,) in found) or "none"
            raise WorkDirError(
                f"{self.metadata}: the metadata store has schema version {versions}, and ML "
                f"Metadata here opens version {METADATA_SCHEMA}; run with the Genreflow that wrote "
                "it, or choose another --work-dir"
            )

    def check_space(self, needed_bytes: int) -> None:
        """Raise WorkDirError if the disk has less than `needed_bytes` free."""
        free = shutil.disk_usage(self.root).free
        if free < needed_bytes:
            raise WorkDirError(
                f"{self.root}: the run needs about {needed_bytes / 1e9:.1f} GB, but only "
                f"{free / 1e9:.2f} GB are free; free some space, or choose another --work-dir"
            )
