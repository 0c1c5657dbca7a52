"""The checks that every reader's tracks pass, so that readers only read."""

from __future__ import annotations

import dataclasses
import functools
import os
import stat
from collections.abc import Iterable, Iterator

from components.datasets import text
from components.datasets.settings import DatasetSettings
from components.datasets.track import Reject, Track

# Longest accepted values, in characters. Track ids are often paths (PATH_MAX is 4096);
# a genre becomes a class name in every table.
MAX_TRACK_ID = 4096
MAX_ARTIST_ID = 1024
MAX_GENRE = 256


def admit(
    items: Iterable[Track | Reject], settings: DatasetSettings, root: str
) -> Iterator[Track | Reject]:
    """Passes usable tracks on, with absolute paths; turns the others into rejects.

    Args:
      items: what a reader yields; a track's `uri` may be relative to `root`.
      settings: its `genres`, where given, are the only ones that pass, and their
        spelling is what tracks get.
      root: the absolute path of the data folder.

    Yields:
      One item for each item, in order. Rejects are always encodable as UTF-8.
    """
    admission = _Admission(settings, root)
    for item in items:
        yield admission.check(item) if isinstance(item, Track) else _encodable(item)


def refuse(track: Track, reason: str, detail: str) -> Reject:
    """The reject of `track`; its text is cut and escaped as far as writing it needs."""
    return _encodable(Reject(track.track_id, track.uri, track.genre, reason, detail))


def leads_outside(path: str, real_root: str) -> str | None:
    """Where the absolute `path` really lies if that is outside `real_root`, else None."""
    real = os.path.realpath(path)
    return None if _inside(real, real_root) else real


class _Admission:
    """Remembers the ids and files it has seen; one instance reads one dataset once."""

    def __init__(self, settings: DatasetSettings, root: str) -> None:
        self._root = root
        self._real_root = os.path.realpath(root)
        self._genres = {text.normalise(genre): genre for genre in settings.genres}
        self._uri_of_id: dict[str, str] = {}
        self._id_of_file: dict[str, str] = {}
        # Thousands of files share a folder: resolve its links once.
        self._real_folder = functools.lru_cache(maxsize=1024)(os.path.realpath)

    def check(self, track: Track) -> Track | Reject:
        problem = _text_problem(track)
        if problem:
            return refuse(track, "bad_metadata", problem)
        uri = os.path.normpath(os.path.join(self._root, track.uri))
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
        real = self._real_path(track.uri)
        if not _inside(real, self._real_root):
            return refuse(track, "outside_root", f"leads to {real}")
        try:
            status = os.stat(real)
        except OSError as error:
            return refuse(track, "missing_file", error.strerror or "cannot be opened")
        if not stat.S_ISREG(status.st_mode):
            return refuse(track, "missing_file", "not a regular file")
        if status.st_size == 0:
            return refuse(track, "empty_file", "0 bytes")
        other = self._id_of_file.setdefault(real, track.track_id)
        if other != track.track_id:
            return refuse(track, "bad_metadata", f"the same file as track {other}")
        return track

    def _real_path(self, path: str) -> str:
        folder, name = os.path.split(path)
        real = os.path.join(self._real_folder(folder), name)
        return os.path.realpath(real) if os.path.islink(real) else real


def _inside(real: str, real_root: str) -> bool:
    return os.path.commonpath([real, real_root]) == real_root


def _text_problem(track: Track) -> str | None:
    if not track.track_id:
        return "no track id"
    if not track.uri:
        return "no path"
    if "\0" in track.uri or text.encodable(track.uri, len(track.uri)) != track.uri:
        return "its path is not valid text"
    if "://" in track.uri:
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
