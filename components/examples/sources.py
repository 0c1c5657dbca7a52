"""Audio files that the test examples were made from, `test_sources.json` beside the splits.

The gate reads them if the serving model needs the songs in another form than the examples'.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable
from typing import Final, Literal

from components.artifacts import files as artifact_files
from components.artifacts import typed_json
from components.artifacts.names import TEST_SOURCES_JSON
from components.datasets.digest import file_state
from components.datasets.track import Track
from components.storage import objects
from components.storage.errors import ObjectForbidden, ObjectMissing
from components.storage.uri import is_remote

MISSING: Final = "missing"
CHANGED: Final = "changed"


@dataclasses.dataclass(frozen=True, order=True)
class Source:
    """File that a track's examples were made from, and what identified its content then.

    Attributes:
      track_id: the track's id.
      uri: path or s3:// URI of the file.
      size_bytes: its size.
      version: see components.datasets.digest.file_state.
    """

    track_id: str
    uri: str
    size_bytes: int
    version: int | str


@dataclasses.dataclass(frozen=True)
class Sources:
    """Content of test_sources.json.

    Attributes:
      strict: whether versions are digests of contents (dataset.strict).
      sources: a file for each track with test examples, sorted by track.
    """

    strict: bool
    sources: tuple[Source, ...]


def source_of(file: Track, *, strict: bool) -> Source | None:
    """Return a track's file as it is now; None if it cannot be read.

    Args:
      file: the track with this file alone, and its state if it is an object.
      strict: identify it by its content.
    """
    try:
        size_bytes, version = file_state(file, strict)
    except (OSError, ObjectMissing, ObjectForbidden):
        return None
    return Source(file.track_id, file.uri, size_bytes, version)


def find_now(source: Source, *, strict: bool) -> Track | Literal["missing", "changed"]:
    """Return a source as a track to decode, or why it is not what it was.

    Args:
      source: the file.
      strict: as Sources.strict.

    Raises:
      StorageError: an object store cannot be read.
    """
    state = None
    if is_remote(source.uri):
        try:
            state = objects.find(source.uri)
        except ObjectForbidden:
            state = None
        if state is None:
            return MISSING
    track = Track(source.track_id, source.uri, "", state=state)
    now = source_of(track, strict=strict)
    if now is None:
        return MISSING
    return track if now == source else CHANGED


def write_sources(directory: str, sources: Iterable[Source], *, strict: bool) -> None:
    """Write the file into the folder of an Examples artifact."""
    content = dataclasses.asdict(Sources(strict, tuple(sorted(sources))))
    artifact_files.write_text(os.path.join(directory, TEST_SOURCES_JSON), json.dumps(content))


def read_sources(directory: str) -> Sources:
    """Read the file from the folder of an Examples artifact.

    Raises:
      DataError: it is missing (examples of an earlier version) or damaged.
    """
    return typed_json.read(Sources, directory, TEST_SOURCES_JSON)
