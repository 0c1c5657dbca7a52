"""Checks of the tracks that readers yield: text, genres, files, and duplicate ids or files."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence

from components.datasets import text
from components.datasets.files.base import DataFiles
from components.datasets.settings import DatasetSettings
from components.datasets.track import Note, Reject, Track, file_id

# Track ids are often paths (PATH_MAX is 4096). A genre becomes a class name in every table.
MAX_TRACK_ID_CHARACTERS = 4096
MAX_URI_CHARACTERS = 4096
MAX_ARTIST_ID_CHARACTERS = 1024
MAX_GENRE_CHARACTERS = 256


def admit(
    items: Iterable[Track | Reject | Note], settings: DatasetSettings, files: DataFiles
) -> Iterator[Track | Reject | Note]:
    """Yield usable tracks with absolute uris, a reject for each other one, and the notes.

    Among usable tracks with the same id, the first by path, genre, artist and split is kept.
    Others of the same metadata whose paths differ in the extension alone are its `copies`:
    the same song in other formats. Among tracks with the same file, the one with the smallest
    id is kept. So the order of `items` does not matter.

    Args:
      items: the records of a reader; a uri may be relative to the data folder.
      settings: if it has `genres`, tracks of other genres are rejected, and the remaining
        tracks get the genres' spelling.
      files: the data folder.

    Yields:
      One record per item that is no copy, in the same order, after all items have been read.
      The text of rejects can be encoded as UTF-8; their uris are absolute, or "" if unknown.
    """
    admission = _Admission(settings, files)
    yield from admission.reject_duplicates(
        [item if isinstance(item, Note) else admission.check(item) for item in items]
    )


@dataclasses.dataclass(frozen=True)
class _Usable:
    """Track that passed all checks by itself. `file` identifies its file."""

    track: Track
    file: str

    def sort_key(self) -> tuple[str, str, str, str]:
        track = self.track
        return track.uri, track.genre, track.artist_id or "", track.split_hint or ""

    def is_copy(self, of: _Usable) -> bool:
        """Return whether it is the same song as another one with its id, in another format."""
        one, other = self.track, of.track
        return (
            self.file != of.file
            and os.path.splitext(one.uri)[0] == os.path.splitext(other.uri)[0]
            and (one.genre, one.artist_id, one.split_hint)
            == (other.genre, other.artist_id, other.split_hint)
        )


class _Admission:
    """Checks of one dataset."""

    def __init__(self, settings: DatasetSettings, files: DataFiles) -> None:
        self._files = files
        self._genres = {text.normalise(genre): genre for genre in settings.genres}

    def check(self, item: Track | Reject) -> _Usable | Reject:
        """Check one item by itself."""
        if isinstance(item, Reject):
            return self._encodable(self._in_genre(item))
        problem = text_problem(item, self._files.scheme)
        if problem:
            return self._refuse(item, "bad_metadata", problem)
        uri, genre = self._files.uri(item.uri), text.normalise(item.genre)
        track = dataclasses.replace(item, uri=uri, genre=genre)
        if not genre:
            return self._refuse(track, "no_genre", "")
        if self._genres:
            if genre not in self._genres:
                return self._refuse(track, "unknown_genre", _unknown(genre))
            track = dataclasses.replace(track, genre=self._genres[genre])
        status = self._files.status(track.uri)
        if status.problem:
            return self._refuse(track, *status.problem)
        return _Usable(dataclasses.replace(track, state=status.state), status.identity)

    def _in_genre(self, reject: Reject) -> Reject:
        """Return a reader's reject with its genre's spelling, or as one of an excluded genre."""
        genre = text.normalise(reject.genre)
        if genre and self._genres:
            if genre not in self._genres and reject.reason != "bad_metadata":
                detail = _unknown(genre)
                return dataclasses.replace(
                    reject, genre=genre, reason="unknown_genre", detail=detail
                )
            genre = self._genres.get(genre, genre)
        return dataclasses.replace(reject, genre=genre)

    def reject_duplicates(
        self, items: Sequence[_Usable | Reject | Note]
    ) -> list[Track | Reject | Note]:
        """Reject the items that have the id or the file of another one and are no copy of it."""
        songs: dict[str, list[_Usable]] = {}  # by id; its copies come after the first file
        usable = (item for item in items if isinstance(item, _Usable))
        for one in sorted(usable, key=_Usable.sort_key):
            song = songs.setdefault(one.track.track_id, [])
            if not song or one.is_copy(song[0]):
                song.append(one)
        holders: dict[str, _Usable] = {}
        for _, song in sorted(songs.items()):
            holders.setdefault(song[0].file, song[0])
        for _, song in sorted(songs.items()):
            for copy in song[1:]:
                holders.setdefault(copy.file, copy)
        checked: list[Track | Reject | Note] = []
        for item in items:
            if isinstance(item, Note):
                checked.append(item)
            elif isinstance(item, Reject):
                checked.append(self._without_id_of(item, songs))
            else:
                checked += self._decide(item, songs[item.track.track_id], holders)
        return checked

    def _decide(
        self, item: _Usable, song: Sequence[_Usable], holders: Mapping[str, _Usable]
    ) -> list[Track | Reject]:
        """Return the record of a usable item: none if it is a copy of another one."""
        first, holder = song[0], holders.get(item.file, item)
        if holder is not item:
            detail = f"same file as track {holder.track.track_id}"
        elif not any(item is one for one in song):
            detail = f"{first.track.uri} has the same track id; give each song one of its own"
        elif holders[first.file] is not first:
            other = holders[first.file].track.track_id
            detail = f"the same song in another format is the same file as track {other}"
        elif item is first:
            copies = tuple(one.track for one in song[1:] if holders[one.file] is one)
            return [dataclasses.replace(item.track, copies=copies)]
        else:
            return []
        return [self._refuse(item.track, "bad_metadata", detail)]

    def _without_id_of(self, reject: Reject, songs: Mapping[str, Sequence[_Usable]]) -> Reject:
        """Return the reject of a file under another id if a usable file has its id by default.

        If the file's format is not read, the usable one is the same song in another format.
        """
        song = songs.get(reject.track_id)
        if song is None or reject.uri in ("", song[0].track.uri):
            return reject
        if os.path.splitext(self._files.relative(reject.uri))[0] != reject.track_id:
            return reject
        reject = dataclasses.replace(reject, track_id=file_id(reject))
        if reject.reason != "undecodable":
            return reject
        detail = f"{os.path.basename(song[0].track.uri)} is read; {reject.detail}"
        return dataclasses.replace(reject, reason="other_format", detail=detail)

    def _refuse(self, track: Track, reason: str, detail: str) -> Reject:
        return self._encodable(
            Reject(track.track_id, track.uri, track.genre, reason, detail, track.split_hint)
        )

    def _encodable(self, reject: Reject) -> Reject:
        """Return the reject with an absolute uri, and its texts cut and escaped."""
        uri = reject.uri
        if uri and "://" not in uri:
            uri = self._files.uri(uri)
        return Reject(
            track_id=text.encodable(reject.track_id),
            uri=text.encodable(uri),
            genre=text.encodable(reject.genre),
            reason=reject.reason,
            detail=text.encodable(reject.detail),
            split_hint=reject.split_hint,
        )


def _unknown(genre: str) -> str:
    return f"{genre!r} is not in dataset.genres"


def text_problem(track: Track, scheme: str) -> str | None:
    """Return what is wrong with a track's id, path, genre or artist; None if nothing is.

    Args:
      track: the track.
      scheme: the scheme of the URIs that it may have; "" for none.
    """
    if not track.track_id:
        return "no track id"
    if not track.uri:
        return "no path"
    if len(track.uri) > MAX_URI_CHARACTERS:  # resolving links takes quadratic time
        return f"its path is longer than {MAX_URI_CHARACTERS} characters"
    if "\0" in track.uri or text.encodable(track.uri, len(track.uri)) != track.uri:
        return "its path is not valid text"
    if "://" in track.uri and not (scheme and track.uri.startswith(scheme)):
        return "URLs are not supported; copy the file into the data folder"
    checks = (
        ("track id", track.track_id, MAX_TRACK_ID_CHARACTERS),
        ("genre", track.genre, MAX_GENRE_CHARACTERS),
        ("artist id", track.artist_id or "", MAX_ARTIST_ID_CHARACTERS),
    )
    for name, value, max_characters in checks:
        problem = text.problem(value, max_characters)
        if problem:
            return f"its {name} {problem}"
    return None
