"""Tracks that the examples were made from, `tracks.json` beside the splits."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable
from typing import Literal

from components.artifacts import files as artifact_files
from components.artifacts import typed_json
from components.artifacts.names import TRACKS_JSON
from components.common.errors import DataError


@dataclasses.dataclass(frozen=True, order=True)
class ExampleTrack:
    """Track with examples.

    Attributes:
      track_id: the track's id.
      uri: path or s3:// URI of the file that was read.
      genre: its name.
      artist_id: "" if it is unknown.
      split: split of the track; "" if its clips are in several.
    """

    track_id: str
    uri: str
    genre: str
    artist_id: str
    split: Literal["train", "validation", "test", ""]


@dataclasses.dataclass(frozen=True)
class ExampleTracks:
    """Content of tracks.json: a track each, sorted."""

    tracks: tuple[ExampleTrack, ...]


def write_tracks(directory: str, tracks: Iterable[ExampleTrack]) -> None:
    """Write the file into the folder of an Examples artifact."""
    # The escapes keep paths that are not UTF-8.
    content = json.dumps(dataclasses.asdict(ExampleTracks(tuple(sorted(tracks)))))
    artifact_files.write_text(os.path.join(directory, TRACKS_JSON), content)


def read_tracks(directory: str) -> tuple[ExampleTrack, ...]:
    """Read the file from a folder; its tracks are sorted by their ids, which are unique.

    Raises:
      DataError: it is missing (examples of an earlier version) or damaged.
    """
    tracks = typed_json.read(ExampleTracks, directory, TRACKS_JSON).tracks
    if len({track.track_id for track in tracks}) != len(tracks):
        path = os.path.join(directory, TRACKS_JSON)
        raise DataError(f"{path}: damaged, it holds a track twice; rerun the pipeline")
    return tuple(sorted(tracks))
