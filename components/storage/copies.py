"""Local copies of folders in an object store, for libraries that need a disk."""

from __future__ import annotations

import contextlib
import pathlib
import shutil
import tempfile
from collections.abc import Iterator

from components.common.errors import GenreflowError
from components.storage import objects
from components.storage.objects import Listed
from components.storage.uri import parse

# With less than this left after a failure, a full disk is the cause; libraries have many errors
# for it, and native code only aborts.
MIN_FREE_BYTES = 20_000_000


class DiskFullError(GenreflowError):
    """Error for a disk that is too full for a copy."""


class Copies:
    """Local copies of an object store's folders.

    A copy is used again while the store lists the same objects. So what several nodes of a process
    read is fetched once, and what one of them wrote is not fetched at all.

    Attributes:
      root: the local folder that holds the copies.
    """

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        self._listed: dict[str, list[Listed]] = {}

    def fetch(self, uri: str) -> str:
        """Return the path of a copy of a folder; of an empty one if there are no objects.

        Raises:
          DiskFullError: the disk has too little space for it.
          StorageError: an object cannot be read.
        """
        listed = list(objects.list_objects(f"{uri}/"))
        if self._listed.get(uri) == listed:
            return str(self._path(uri))
        self._check_space(uri, sum(item.state.size_bytes for item in listed))
        path = self.create(uri)
        with self.space_errors():
            objects.download_listed(listed, uri, path)
        self._listed[uri] = listed
        return path

    def create(self, uri: str) -> str:
        """Return the path of an empty local folder for what will be published as `uri`."""
        self.discard(uri)
        path = self._path(uri)
        path.mkdir(parents=True)
        return str(path)

    def publish(self, uri: str, *, last: str) -> None:
        """Upload what `create` made a folder for, in place of all objects below `uri`.

        Args:
          uri: the folder in the store.
          last: name of the files to upload after all others, because readers wait for them.

        Raises:
          StorageError: an object cannot be written; some others may be in the store.
        """
        root = self._path(uri)
        files = sorted(path for path in root.rglob("*") if path.is_file())
        objects.delete_below(uri)
        for path in sorted(files, key=lambda path: path.name == last):
            objects.upload(path, f"{uri}/{path.relative_to(root).as_posix()}")
        self._listed[uri] = list(objects.list_objects(f"{uri}/"))

    def discard(self, uri: str) -> None:
        """Remove the copy of a folder, if there is one."""
        self._listed.pop(uri, None)
        path = self._path(uri)
        if path.exists():
            shutil.rmtree(path)

    @contextlib.contextmanager
    def space_errors(self) -> Iterator[None]:
        """Raise DiskFullError for any error of a block that leaves the disk full."""
        try:
            yield
        except Exception as error:
            free = shutil.disk_usage(self.root).free
            if free >= MIN_FREE_BYTES:
                raise
            raise DiskFullError(
                f"{self.root}: the disk is full ({free / 1e6:.0f} MB free); free some space and "
                "rerun"
            ) from error

    def _check_space(self, uri: str, needed: int) -> None:
        free = shutil.disk_usage(self.root).free
        if needed + MIN_FREE_BYTES > free:
            raise DiskFullError(
                f"{self.root}: the local copy of {uri} needs {needed / 1e6:.0f} MB, but only "
                f"{free / 1e6:.0f} MB are free; free some space and rerun"
            )

    def _path(self, uri: str) -> pathlib.Path:
        where = parse(uri)
        return self.root / where.bucket / where.key


@contextlib.contextmanager
def local_copies(folder: pathlib.Path | None = None) -> Iterator[Copies]:
    """Yield copies, which are deleted afterwards.

    Args:
      folder: the folder that holds them; what a killed process left in it is deleted first. By
        default it is a new one in the system's folder for temporary files.
    """
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="genreflow-copies-") as made:
            yield Copies(pathlib.Path(made))
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield Copies(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
