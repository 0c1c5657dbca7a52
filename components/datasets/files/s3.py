"""A data folder in an object store: a prefix, whose objects are listed once."""

from __future__ import annotations

import bisect
import contextlib
import os
import posixpath
import tempfile
from collections.abc import Iterator
from typing import TextIO

from components.common.errors import DatasetError
from components.datasets.files.base import REMEDY, Entry, FileStatus
from components.storage import objects
from components.storage.errors import ObjectForbidden, ObjectMissing, StorageError
from components.storage.objects import ObjectState
from components.storage.uri import SCHEME, S3Uri, UriError, is_remote, parse

# FMA's tracks.csv has 260 MB. A larger file is no list of tracks.
MAX_TEXT_BYTES = 1 << 30


class S3Files:
    """Data folder below an s3:// URI; slashes in keys separate folders. See DataFiles.

    Each folder is listed once, with everything below it, at a thousand objects a request. Keys
    with a part that no path can have (empty, "." or "..") are never found. `root` has no slash
    at its end (components.storage.uri.place).
    """

    scheme = SCHEME

    def __init__(self, root: str) -> None:
        self.root = root
        self._listings: dict[str, tuple[list[str], list[ObjectState]]] = {}

    def check(self, remedy: str = REMEDY) -> None:
        if not objects.any_below(self.root):
            raise DatasetError(
                f"{self.root}: the data folder is empty (no object's name begins with "
                f"{self.root}/); {remedy}"
            )

    def uri(self, path: str, base: str = "") -> str:
        if path.startswith("/"):
            return path
        whole = path if is_remote(path) else posixpath.join(self.root, base, path)
        try:
            parsed = parse(whole)
        except UriError:  # in a manifest; `status` will reject it
            return whole
        if not parsed.key:
            return whole
        return str(S3Uri(parsed.bucket, posixpath.normpath(parsed.key)))

    def relative(self, uri: str) -> str:
        return uri if self.leads_outside(uri) else uri[len(self.root) + 1 :]

    def leads_outside(self, uri: str) -> str | None:
        inside = uri.startswith(f"{self.root}/") and ".." not in uri.split("/")
        return None if inside else uri

    def is_file(self, path: str) -> bool:
        try:
            return self._state(self.uri(path)) is not None
        except StorageError:
            # Outside the data folder, no permission counts as no file.
            if self.leads_outside(self.uri(path)):
                return False
            raise

    def is_folder(self, path: str) -> bool:
        return objects.any_below(self.uri(path))

    def entries(self, folder: str) -> list[Entry]:
        prefix = f"{self.root}/{folder}".rstrip("/") + "/"
        uris, _ = self._listing(prefix)
        found: set[Entry] = set()
        at = bisect.bisect_left(uris, prefix)
        while at < len(uris) and uris[at].startswith(prefix):
            name, slash, _ = uris[at][len(prefix) :].partition("/")
            found.add(Entry(name, bool(slash)))
            # A folder's objects are consecutive: skip to behind the last of them.
            at = bisect.bisect_left(uris, f"{prefix}{name}0", at) if slash else at + 1
        return sorted(found)

    def is_link(self, folder: str) -> bool:
        return False

    @contextlib.contextmanager
    def open_text(self, path: str) -> Iterator[TextIO]:
        uri = self.uri(path)
        state = self._state(uri)
        if state is None:
            raise FileNotFoundError(2, "no such object", uri)
        with tempfile.TemporaryDirectory(prefix="genreflow-text-") as folder:
            local = os.path.join(folder, "text")
            try:
                objects.download(uri, local, state, MAX_TEXT_BYTES)
            except (ObjectMissing, ObjectForbidden) as error:
                raise DatasetError(str(error)) from error
            with open(local, encoding="utf-8-sig", newline="") as stream:
                yield stream

    def status(self, uri: str) -> FileStatus:
        if self.leads_outside(uri):
            return FileStatus(uri, ("outside_root", f"it resolves to {uri}"))
        state = self._state(uri)
        if state is None:
            return FileStatus(uri, ("missing_file", "no such object"))
        if state.size_bytes == 0:
            return FileStatus(uri, ("empty_file", "0 bytes"))
        return FileStatus(uri, state=state)

    def _state(self, uri: str) -> ObjectState | None:
        """Look up a uri in the listing of its top-level folder."""
        if self.leads_outside(uri):
            return objects.find(uri) if is_remote(uri) else None
        top, slash, _ = uri[len(self.root) + 1 :].partition("/")
        uris, states = self._listing(f"{self.root}/{top}/" if slash else f"{self.root}/")
        at = bisect.bisect_left(uris, uri)
        return states[at] if at < len(uris) and uris[at] == uri else None

    def _listing(self, prefix: str) -> tuple[list[str], list[ObjectState]]:
        """List all objects whose uris begin with a prefix, as sorted parallel lists."""
        for known, listing in self._listings.items():
            if prefix.startswith(known):
                return listing
        found = sorted((item.uri, item.state) for item in objects.list_objects(prefix))
        listing = [uri for uri, _ in found], [state for _, state in found]
        self._listings[prefix] = listing
        return listing
