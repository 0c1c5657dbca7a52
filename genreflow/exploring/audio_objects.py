"""Audio of songs in an object store, read in ranges; nothing is copied to a disk."""

from __future__ import annotations

import dataclasses
from typing import Final

from components.common.errors import GenreflowError
from components.datasets.files.fetching import MAX_OBJECT_BYTES
from components.storage import objects
from components.storage.errors import (
    ObjectChanged,
    ObjectForbidden,
    ObjectMissing,
    StorageError,
)
from components.storage.objects import ObjectState

GONE: Final = (
    "Its audio file is not in the object store any more: it was moved, renamed or deleted."
)


class AudioError(GenreflowError):
    """Error for audio that the store does not give now, as a sentence; base of the others."""


class NoAudioError(AudioError):
    """Error for audio that is not there, or not to be played."""


class AudioChangedError(AudioError):
    """Error for audio that was replaced while it was played."""


@dataclasses.dataclass(frozen=True)
class AudioObject:
    """Object of a song, which may be played.

    Attributes:
      uri: its s3:// URI.
      media_type: such as "audio/mpeg".
    """

    uri: str
    media_type: str


class AudioObjects:
    """Objects of songs. What is played in pieces is all of one version of the object."""

    def __init__(self) -> None:
        self._states: dict[str, ObjectState] = {}

    def state(self, audio: AudioObject, *, anew: bool) -> ObjectState:
        """Return the version of an object to read.

        Args:
          audio: the object.
          anew: whether the song is played from its start; else the version is the one before.

        Raises:
          NoAudioError: there is no such object, or it cannot be a song.
          AudioError: the store does not answer.
        """
        if not anew and audio.uri in self._states:
            return self._states[audio.uri]
        try:
            state = objects.find(audio.uri)
        except StorageError as error:
            raise _problem(error) from error
        if state is None:
            raise NoAudioError(GONE)
        if not state.size_bytes:
            raise NoAudioError("Its audio file is empty now.")
        if state.size_bytes > MAX_OBJECT_BYTES:
            raise NoAudioError(
                f"Its audio file is larger than {MAX_OBJECT_BYTES >> 20} MiB, more than a run "
                "reads, so it is not played."
            )
        self._states[audio.uri] = state
        return state

    def read(self, audio: AudioObject, state: ObjectState, start: int, stop: int) -> bytes:
        """Return the bytes from `start` to before `stop` of one version of an object.

        Raises:
          AudioChangedError: the object has another version now.
          NoAudioError: there is no such object any more.
          AudioError: the store does not answer.
        """
        try:
            return objects.read_range(audio.uri, state, start, stop)
        except StorageError as error:
            raise _problem(error) from error


def _problem(error: StorageError) -> AudioError:
    """Return what an error of the store means for a listener."""
    match error:
        case ObjectMissing():
            return NoAudioError(GONE)
        case ObjectForbidden():
            return NoAudioError(f"This program may not read its audio file. {error}")
        case ObjectChanged():
            return AudioChangedError(
                "Its audio file was replaced in the object store while it was played; reload the "
                "page to hear the new one."
            )
    return AudioError(f"The object store does not give its audio file. {error}")
