"""Choice of a track's file, for a song that is there in several formats."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from typing import Generic, TypeVar

from components.audio.decoding.decode import DecodeError
from components.datasets.track import Reject, Track, file_id

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, eq=False)
class Used(Generic[T]):
    """The file of a track that could be used.

    Attributes:
      file: the track with that file alone.
      result: what the attempt returned for it.
    """

    file: Track
    result: T


def first_usable(
    track: Track, attempt: Callable[[Track], T]
) -> tuple[Used[T] | None, list[Reject]]:
    """Try a track's files until one can be used.

    Args:
      track: the track.
      attempt: called with the track with one of its files; raises DecodeError for a bad one.

    Returns:
      (the first usable file or None, a reject for each other file). The track's own id is in
      the rejects only if no file can be used.
    """
    failed: list[Reject] = []
    for index, file in enumerate(track.files):
        try:
            result = attempt(file)
        except DecodeError as error:
            failed.append(Reject(track.track_id, file.uri, track.genre, error.reason, error.detail))
            continue
        name = os.path.basename(file.uri)
        rejects = [
            dataclasses.replace(
                one, track_id=file_id(one), detail=f"{one.detail}; {name} is read instead"
            )
            for one in failed
        ]
        rejects += [
            Reject(file_id(copy), copy.uri, track.genre, "other_format", f"{name} is read")
            for copy in track.files[index + 1 :]
        ]
        return Used(file, result), rejects
    return None, [
        one if one.uri == track.uri else dataclasses.replace(one, track_id=file_id(one))
        for one in failed
    ]
