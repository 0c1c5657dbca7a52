"""The interface through which readers list and open a data set's files."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Protocol, TextIO

from components.storage.objects import ObjectState


@dataclasses.dataclass(frozen=True, order=True)
class Entry:
    """One name in a folder."""

    name: str
    is_folder: bool


@dataclasses.dataclass(frozen=True)
class Found:
    """What lies at a track's uri.

    `identity` is the same for two uris that lead to the same file. `problem` is (reject
    reason, detail) where the file cannot be a track's, else None. `state` is known of
    objects, and None of local files.
    """

    identity: str
    problem: tuple[str, str] | None = None
    state: ObjectState | None = None


class DataFiles(Protocol):
    """What a reader may ask of a data folder. Paths are relative to it, or whole uris.

    Raises:
      DatasetError: from any method, where the folder itself cannot be used.
      components.storage.errors.StorageError: an object store cannot be asked.
    """

    root: str
    scheme: str

    def check(self) -> None:
        """Raises DatasetError unless the folder is there and holds something."""

    def uri(self, path: str, base: str = "") -> str:
        """The whole, normalised uri of a path relative to `base` (itself relative to the
        root); of a uri or an absolute path that of itself. May lead outside the folder."""

    def relative(self, uri: str) -> str:
        """The path of a uri relative to the root."""

    def leads_outside(self, uri: str) -> str | None:
        """Where a uri really leads if that is outside the folder, else None."""

    def is_file(self, path: str) -> bool:
        """Whether a file is there."""

    def is_folder(self, path: str) -> bool:
        """Whether a folder is there."""

    def entries(self, folder: str) -> list[Entry]:
        """The names in a folder, sorted, hidden ones included; OSError if it is unreadable."""

    def is_link(self, folder: str) -> bool:
        """Whether a folder is a link to another one."""

    def open_text(self, path: str) -> contextlib.AbstractContextManager[TextIO]:
        """A UTF-8 file to read, a byte-order mark dropped, line ends as they are; OSError."""

    def find(self, uri: str) -> Found:
        """What lies at a whole uri."""
