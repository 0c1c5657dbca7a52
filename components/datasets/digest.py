"""One digest for a dataset as it is read: files, labels and splits."""

from __future__ import annotations

import concurrent.futures
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence

from components.datasets.files.open import open_files
from components.datasets.track import Track
from components.storage import objects
from components.storage.client import CONNECTIONS
from components.storage.errors import ObjectForbidden, ObjectMissing

_BLOCK_BYTES = 1 << 20


def manifest_digest(
    tracks: Sequence[Track],
    split_of: Mapping[str, str],
    *,
    data_dir: str,
    genres: Sequence[str],
    strict: bool,
) -> str:
    """64 hex digits that change when anything that the examples are made from does.

    Covers `genres` in label order and, for each track: id, artist, genre, split, path
    relative to `data_dir`, size and modification time (of an object its ETag), or with
    `strict` the size and the SHA-256 of the contents instead (reads every file; survives
    copying and touching).
    The order of `tracks`, and where the data folder itself lies, change nothing.

    Args:
      split_of: track id -> what decides the splits of its clips
        (`SplitResult.label_of`); tracks that are not in it count as in no split.
    """
    digest = hashlib.sha256(json.dumps(["genres", *genres]).encode())
    files = open_files(data_dir)
    ordered = sorted(tracks)
    for track, state in zip(ordered, _states(ordered, strict), strict=True):
        line = [
            track.track_id,
            track.artist_id,
            track.genre,
            split_of.get(track.track_id),
            files.relative(track.uri),
            *state,
        ]
        digest.update(b"\n" + json.dumps(line).encode())
    return digest.hexdigest()


def _states(tracks: Sequence[Track], strict: bool) -> Iterator[tuple[int | str, ...]]:
    """What tells each track's file from another state of it, in their order."""
    if not strict or not any(track.state for track in tracks):
        for track in tracks:
            yield _state(track, strict)
        return
    # Reading objects is mostly waiting.
    with concurrent.futures.ThreadPoolExecutor(CONNECTIONS) as pool:
        yield from pool.map(lambda track: _state(track, strict), tracks)


def _state(track: Track, strict: bool) -> tuple[int | str, ...]:
    if track.state is None:
        return _file_state(track.uri, strict)
    if not strict:
        return track.state.size_bytes, track.state.etag
    try:
        return track.state.size_bytes, objects.sha256(track.uri, track.state)
    except (ObjectMissing, ObjectForbidden):
        return ("missing",)


def _file_state(path: str, strict: bool) -> tuple[int | str, ...]:
    """What tells one state of a file from another; ("missing",) where there is none."""
    try:
        if not strict:
            status = os.stat(path)
            return status.st_size, status.st_mtime_ns
        contents = hashlib.sha256()
        with open(path, "rb") as stream:
            size = 0
            while block := stream.read(_BLOCK_BYTES):
                contents.update(block)
                size += len(block)
        return size, contents.hexdigest()
    except OSError:
        return ("missing",)
