"""The interface through which readers list and open a dataset's files."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Protocol, TextIO

from components.storage.objects import ObjectState

# Of errors about the data folder as a whole, where a run's configuration names it.
REMEDY = "check --data-dir (dataset.data_dir)"


@dataclasses.dataclass(frozen=True, order=True)
class Entry:
    """Entry of a folder."""

    name: str
    is_folder: bool


@dataclasses.dataclass(frozen=True)
class FileStatus:
    """Status of the file at a track's uri.

    Attributes:
      identity: the same for all uris of the same file.
      problem: (reject reason, detail) if the file cannot be used, else None.
      state: state of an object; None for a local file.
    """

    identity: str
    problem: tuple[str, str] | None = None
    state: ObjectState | None = None


class DataFiles(Protocol):
    """Interface to a data folder. Paths are relative to it, or absolute uris.

    All methods may raise DatasetError if the folder itself cannot be used, and
    components.storage.errors.StorageError if an object store cannot be read.

    Attributes:
      root: the folder, an absolute path or an s3:// URI.
      scheme: the scheme of its URIs, "" for a local folder.
    """

    root: str
    scheme: str

    def check(self, remedy: str = REMEDY) -> None:
        """Raise DatasetError unless the folder exists and is not empty.

        Args:
          remedy: what to do, as the end of the message.
        """

    def uri(self, path: str, base: str = "") -> str:
        """Return the absolute, normalised uri of a path.

        Args:
          path: a path relative to `base`, an absolute path or a uri.
          base: folder relative to the root.

        Returns:
          A uri, which may be outside the folder.
        """

    def relative(self, uri: str) -> str:
        """Return the path of a uri relative to the root."""

    def leads_outside(self, uri: str) -> str | None:
        """Return the resolved uri if it is outside the folder, else None."""

    def is_file(self, path: str) -> bool:
        """Return whether a path is a file."""

    def is_folder(self, path: str) -> bool:
        """Return whether a path is a folder."""

    def entries(self, folder: str) -> list[Entry]:
        """Return the sorted entries of a folder, hidden ones included.

        Raises:
          OSError: the folder cannot be read.
        """

    def is_link(self, folder: str) -> bool:
        """Return whether a folder is a link to another one."""

    def open_text(self, path: str) -> contextlib.AbstractContextManager[TextIO]:
        """Open a UTF-8 file without its byte-order mark, line ends unchanged.

        Raises:
          OSError: the file cannot be read.
        """

    def status(self, uri: str) -> FileStatus:
        """Return the status of the file at an absolute uri."""
