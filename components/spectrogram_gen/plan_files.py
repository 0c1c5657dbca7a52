"""Shards as files, so that a Beam job's description does not grow with the number of tracks.

A job's description is one message with the elements that the job begins with, at 24 bytes or more
for each track in shards, compressed; Dataflow takes 10 MB at most. So the elements are places of
shards in files of the run's own storage, which workers read: 1 MB for ten million tracks.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
from collections.abc import Iterator, Sequence

from components.artifacts import files
from components.datasets.track import SplitName, Track
from components.spectrogram_gen.shards import Shard
from components.storage.objects import ObjectState

# Some 300 kB. A worker reads a file for each of its shards, unless the last one was in it too.
MAX_TRACKS_PER_FILE = 1024


@dataclasses.dataclass(frozen=True)
class ShardPlace:
    """Place of a shard.

    Attributes:
      path: the file.
      position: in the file.
      index: as in Shard.
      splits: as in Shard.
    """

    path: str
    position: int
    index: int
    splits: tuple[SplitName, ...]


def write_plan(folder: str, shards: Sequence[Shard]) -> list[ShardPlace]:
    """Write shards into files of a folder and return their places, in order.

    Args:
      folder: a path or URI without other files.
      shards: the shards.
    """
    places = []
    for number, group in enumerate(_groups(shards)):
        path = os.path.join(folder, f"{number:06d}.json")
        files.write_text(path, json.dumps([dataclasses.asdict(shard) for shard in group]))
        places += [
            ShardPlace(path, position, shard.index, shard.splits)
            for position, shard in enumerate(group)
        ]
    return places


def read_shard(place: ShardPlace) -> Shard:
    """Return the shard at a place.

    Raises:
      FileNotFoundError, ObjectMissing: there is no such file.
      StorageError: it cannot be read.
    """
    return _read(place.path)[place.position]


def _groups(shards: Sequence[Shard]) -> Iterator[list[Shard]]:
    group: list[Shard] = []
    tracks = 0
    for shard in shards:
        if group and tracks + len(shard.tracks) > MAX_TRACKS_PER_FILE:
            yield group
            group, tracks = [], 0
        group.append(shard)
        tracks += len(shard.tracks)
    if group:
        yield group


@functools.lru_cache(maxsize=1)
def _read(path: str) -> list[Shard]:
    return [
        Shard(
            index=values["index"],
            total=values["total"],
            splits=tuple(values["splits"]),
            tracks=tuple((_track(track), tuple(splits)) for track, splits in values["tracks"]),
        )
        for values in json.loads(files.read_text(path))
    ]


def _track(values: dict[str, object]) -> Track:
    state, copies = values.pop("state"), values.pop("copies")
    return Track(
        **values,  # type: ignore[arg-type]  # as written
        state=ObjectState(**state) if isinstance(state, dict) else None,
        copies=tuple(_track(copy) for copy in copies),  # type: ignore[attr-defined]
    )
