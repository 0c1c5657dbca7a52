"""Checks of the tracks that readers yield: text, genres, files, and duplicate ids or files."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

from components.datasets import text
from components.datasets.files.base import DataFiles
from components.datasets.settings import DatasetSettings
from components.datasets.track import Reject, Track

# Track ids are often paths (PATH_MAX is 4096). A genre becomes a class name in every table.
MAX_TRACK_ID_CHARACTERS = 4096
MAX_URI_CHARACTERS = 4096
MAX_ARTIST_ID_CHARACTERS = 1024
MAX_GENRE_CHARACTERS = 256


def admit(
    items: Iterable[Track | Reject], settings: DatasetSettings, files: DataFiles
) -> Iterator[Track | Reject]:
    """Yield usable tracks with absolute uris, and a reject for each other one.

    Among usable tracks with the same id, the first by path, genre, artist and split is kept.
    Among tracks with the same file, the one with the smallest id is kept. So the order of
    `items` does not matter.

    Args:
      items: the records of a reader; a uri may be relative to the data folder.
      settings: if it has `genres`, tracks of other genres are rejected, and the remaining
        tracks get the genres' spelling.
      files: the data folder.

    Yields:
      One record per item in the same order, after all items have been read. The text of
      rejects can be encoded as UTF-8; their uris are absolute, or "" if unknown.
    """
    admission = _Admission(settings, files)
    yield from admission.reject_duplicates([admission.check(item) for item in items])


@dataclasses.dataclass(frozen=True)
class _Usable:
    """Track that passed all checks by itself. `file` identifies its file."""

    track: Track
    file: str

    def sort_key(self) -> tuple[str, str, str, str]:
        track = self.track
        return track.uri, track.genre, track.artist_id or "", track.split_hint or ""


class _Admission:
    """Checks of one dataset."""

    def __init__(self, settings: DatasetSettings, files: DataFiles) -> None:
        self._files = files
        self._genres = {text.normalise(genre): genre for genre in settings.genres}

    def check(self, item: Track | Reject) -> _Usable | Reject:
        """Check one item by itself."""
        if isinstance(item, Reject):
            return self._encodable(item)
        problem = _text_problem(item, self._files.scheme)
        if problem:
            return self._refuse(item, "bad_metadata", problem)
        uri, genre = self._files.uri(item.uri), text.normalise(item.genre)
        track = dataclasses.replace(item, uri=uri, genre=genre)
        if not genre:
            return self._refuse(track, "no_genre", "")
        if self._genres:
            if genre not in self._genres:
                return self._refuse(track, "unknown_genre", f"{genre!r} is not in dataset.genres")
            track = dataclasses.replace(track, genre=self._genres[genre])
        status = self._files.status(track.uri)
        if status.problem:
            return self._refuse(track, *status.problem)
        return _Usable(dataclasses.replace(track, state=status.state), status.identity)

    def reject_duplicates(self, items: Sequence[_Usable | Reject]) -> list[Track | Reject]:
        """Reject all but one of the items that have the same id or the same file."""
        usable = [item for item in items if isinstance(item, _Usable)]
        by_id: dict[str, _Usable] = {}
        for one in sorted(usable, key=_Usable.sort_key):
            by_id.setdefault(one.track.track_id, one)
        by_file: dict[str, _Usable] = {}
        for _, one in sorted(by_id.items()):
            by_file.setdefault(one.file, one)
        checked: list[Track | Reject] = []
        for item in items:
            if isinstance(item, Reject):
                checked.append(item)
                continue
            track, first = item.track, by_id[item.track.track_id]
            if first is not item:
                detail = f"{first.track.uri} has the same track id"
                checked.append(self._refuse(track, "bad_metadata", detail))
            elif by_file[item.file] is not item:
                detail = f"same file as track {by_file[item.file].track.track_id}"
                checked.append(self._refuse(track, "bad_metadata", detail))
            else:
                checked.append(track)
        return checked

    def _refuse(self, track: Track, reason: str, detail: str) -> Reject:
        return self._encodable(Reject(track.track_id, track.uri, track.genre, reason, detail))

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
        )


def _text_problem(track: Track, scheme: str) -> str | None:
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
