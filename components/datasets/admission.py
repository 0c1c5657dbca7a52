"""The checks that every reader's tracks pass, so that readers only read."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

from components.datasets import text
from components.datasets.files import DataFiles
from components.datasets.settings import DatasetSettings
from components.datasets.track import Reject, Track

# Longest accepted values, in characters. Track ids are often paths (PATH_MAX is 4096);
# a genre becomes a class name in every table.
MAX_TRACK_ID = 4096
MAX_ARTIST_ID = 1024
MAX_GENRE = 256


def admit(
    items: Iterable[Track | Reject], settings: DatasetSettings, files: DataFiles
) -> Iterator[Track | Reject]:
    """Passes usable tracks on, with whole uris; turns the others into rejects.

    Args:
      items: what a reader yields; a track's `uri` may be relative to the data folder.
      settings: its `genres`, where given, are the only ones that pass, and their
        spelling is what tracks get.
      files: the data folder.

    Yields:
      One item for each item, in order. Rejects are always encodable as UTF-8.
    """
    admission = _Admission(settings, files)
    for item in items:
        yield admission.check(item) if isinstance(item, Track) else _encodable(item)


def refuse(track: Track, reason: str, detail: str) -> Reject:
    """The reject of `track`; its text is cut and escaped as far as writing it needs."""
    return _encodable(Reject(track.track_id, track.uri, track.genre, reason, detail))


class _Admission:
    """Remembers the ids and files it has seen; one instance reads one dataset once."""

    def __init__(self, settings: DatasetSettings, files: DataFiles) -> None:
        self._files = files
        self._genres = {text.normalise(genre): genre for genre in settings.genres}
        self._uri_of_id: dict[str, str] = {}
        self._id_of_file: dict[str, str] = {}

    def check(self, track: Track) -> Track | Reject:
        problem = _text_problem(track, self._files.scheme)
        if problem:
            return refuse(track, "bad_metadata", problem)
        uri = self._files.uri(track.uri)
        genre = text.normalise(track.genre)
        track = dataclasses.replace(track, uri=uri, genre=genre)
        if track.track_id in self._uri_of_id:
            other = self._uri_of_id[track.track_id]
            return refuse(track, "bad_metadata", f"its track id is already that of {other}")
        self._uri_of_id[track.track_id] = uri
        if not genre:
            return refuse(track, "no_genre", "")
        if self._genres:
            if genre not in self._genres:
                return refuse(track, "unknown_genre", f"{genre!r} is not in dataset.genres")
            track = dataclasses.replace(track, genre=self._genres[genre])
        return self._check_file(track)

    def _check_file(self, track: Track) -> Track | Reject:
        found = self._files.find(track.uri)
        if found.problem:
            return refuse(track, *found.problem)
        other = self._id_of_file.setdefault(found.identity, track.track_id)
        if other != track.track_id:
            return refuse(track, "bad_metadata", f"the same file as track {other}")
        return dataclasses.replace(track, state=found.state)


def _text_problem(track: Track, scheme: str) -> str | None:
    if not track.track_id:
        return "no track id"
    if not track.uri:
        return "no path"
    if "\0" in track.uri or text.encodable(track.uri, len(track.uri)) != track.uri:
        return "its path is not valid text"
    if "://" in track.uri and not (scheme and track.uri.startswith(scheme)):
        return "only paths are read, not URLs: copy the file below the data folder"
    checks = (
        ("track id", track.track_id, MAX_TRACK_ID),
        ("genre", track.genre, MAX_GENRE),
        ("artist id", track.artist_id or "", MAX_ARTIST_ID),
    )
    for name, value, max_characters in checks:
        problem = text.problem(value, max_characters)
        if problem:
            return f"its {name} {problem}"
    return None


def _encodable(reject: Reject) -> Reject:
    return Reject(
        track_id=text.encodable(reject.track_id),
        uri=text.encodable(reject.uri),
        genre=text.encodable(reject.genre),
        reason=reject.reason,
        detail=text.encodable(reject.detail),
    )
