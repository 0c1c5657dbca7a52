"""A digest of a dataset: its files, labels and splits."""

from __future__ import annotations

import concurrent.futures
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence

from components.audio.decoding import formats
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
    """Return 64 hex digits that change with anything that the examples are made from.

    The digest covers the genres, whether PyAV is installed, which decides what is read, and for
    each track: id, artist, genre, split, path relative to the data folder, size, and modification
    time (ETag of an object). It does not depend on the order of `tracks` or on the location of the
    data folder.

    Args:
      tracks: the tracks.
      split_of: the splits of each track's clips by track id, as `SplitResult.digest_text`
        returns them. Tracks that are not in it are in no split.
      data_dir: the data folder, a path or an s3:// URI.
      genres: the genres in label order.
      strict: use the SHA-256 of the contents instead of the modification time. This reads
        every file; copied and touched files keep their digest.
    """
    digest = hashlib.sha256(json.dumps([formats.has_pyav(), "genres", *genres]).encode())
    files = open_files(data_dir)
    ordered = sorted(tracks)
    states = _states([file for track in ordered for file in track.files], strict)
    for track in ordered:
        line: list[int | str | None] = [
            track.track_id,
            track.artist_id,
            track.genre,
            split_of.get(track.track_id),
        ]
        for file in track.files:
            line += [files.relative(file.uri), *next(states)]
        digest.update(b"\n" + json.dumps(line).encode())
    return digest.hexdigest()


def file_state(track: Track, strict: bool) -> tuple[int, int | str]:
    """Return what identifies the content of a track's file.

    Args:
      track: the track.
      strict: read the file and use its SHA-256.

    Returns:
      (size in bytes, version). The version is the SHA-256 in hex if `strict`, else the ETag of
      an object or the modification time of a local file in nanoseconds.

    Raises:
      OSError, ObjectMissing, ObjectForbidden: the file cannot be read.
    """
    if track.state:
        size = track.state.size_bytes
        return size, objects.sha256(track.uri, track.state) if strict else track.state.etag
    if not strict:
        status = os.stat(track.uri)
        return status.st_size, status.st_mtime_ns
    contents = hashlib.sha256()
    size = 0
    with open(track.uri, "rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            contents.update(block)
            size += len(block)
    return size, contents.hexdigest()


def _states(tracks: Sequence[Track], strict: bool) -> Iterator[tuple[int | str, ...]]:
    """Yield the state of each track's file, in the tracks' order."""
    if not strict or not any(track.state for track in tracks):
        for track in tracks:
            yield _state(track, strict)
        return
    # Downloading is mostly waiting.
    with concurrent.futures.ThreadPoolExecutor(CONNECTIONS) as pool:
        yield from pool.map(lambda track: _state(track, strict), tracks)


def _state(track: Track, strict: bool) -> tuple[int | str, ...]:
    try:
        return file_state(track, strict)
    except (OSError, ObjectMissing, ObjectForbidden):
        return ("missing",)
