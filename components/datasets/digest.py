"""One digest for a dataset as it is read: files, labels and splits."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence

from components.datasets.track import Track

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
    relative to `data_dir`, size and modification time, or with `strict` the size and the
    SHA-256 of the contents instead (reads every file; survives copying and touching).
    The order of `tracks`, and where the data folder itself lies, change nothing.

    Args:
      split_of: track id -> what decides the splits of its clips
        (`SplitResult.label_of`); tracks that are not in it count as in no split.
    """
    digest = hashlib.sha256(json.dumps(["genres", *genres]).encode())
    root = os.path.abspath(data_dir)
    for track in sorted(tracks):
        line = [
            track.track_id,
            track.artist_id,
            track.genre,
            split_of.get(track.track_id),
            os.path.relpath(track.uri, root),
            *_file_state(track.uri, strict),
        ]
        digest.update(b"\n" + json.dumps(line).encode())
    return digest.hexdigest()


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
