"""The checks that every reader's tracks pass, so that readers only read."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

from components.datasets import text
from components.datasets.files.base import DataFiles
from components.datasets.settings import DatasetSettings
from components.datasets.track import Reject, Track

# Longest accepted values, in characters. Track ids are often paths (PATH_MAX is 4096);
# a genre becomes a class name in every table.
MAX_TRACK_ID = 4096
MAX_URI = 4096
MAX_ARTIST_ID = 1024
MAX_GENRE = 256


def admit(
    items: Iterable[Track | Reject], settings: DatasetSettings, files: DataFiles
) -> Iterator[Track | Reject]:
    """Passes usable tracks on, with whole uris; turns the others into rejects.

    Of usable tracks with one id the first by path, genre, artist and split is kept, and of
    those that are one file the smallest id, so that the order of `items` decides nothing.

    Args:
      items: what a reader yields; a uri may be relative to the data folder.
      settings: its `genres`, where given, are the only ones that pass, and their
        spelling is what tracks get.
      files: the data folder.

    Yields:
      One item for each item, in order, once all have been read. Rejects are always
      encodable as UTF-8, and their uris whole; "" where none is known.
    """
    admission = _Admission(settings, files)
    yield from admission.settle([admission.check(item) for item in items])


@dataclasses.dataclass(frozen=True)
class _Usable:
    """A track that nothing but another track can keep out."""

    track: Track
    file: str

    def order(self) -> tuple[str, str, str, str]:
        track = self.track
        return track.uri, track.genre, track.artist_id or "", track.split_hint or ""


class _Admission:
    def __init__(self, settings: DatasetSettings, files: DataFiles) -> None:
        self._files = files
        self._genres = {text.normalise(genre): genre for genre in settings.genres}

    def check(self, item: Track | Reject) -> _Usable | Reject:
        """One item by itself."""
        if isinstance(item, Reject):
            return self._writable(item)
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
        found = self._files.find(track.uri)
        if found.problem:
            return self._refuse(track, *found.problem)
        return _Usable(dataclasses.replace(track, state=found.state), found.identity)

    def settle(self, items: Sequence[_Usable | Reject]) -> list[Track | Reject]:
        """Items that want the same id or file: one of them gets it."""
        usable = [item for item in items if isinstance(item, _Usable)]
        of_id: dict[str, _Usable] = {}
        for one in sorted(usable, key=_Usable.order):
            of_id.setdefault(one.track.track_id, one)
        of_file: dict[str, _Usable] = {}
        for _, one in sorted(of_id.items()):
            of_file.setdefault(one.file, one)
        settled: list[Track | Reject] = []
        for item in items:
            if isinstance(item, Reject):
                settled.append(item)
                continue
            track, first = item.track, of_id[item.track.track_id]
            if first is not item:
                detail = f"its track id is already that of {first.track.uri}"
                settled.append(self._refuse(track, "bad_metadata", detail))
            elif of_file[item.file] is not item:
                detail = f"the same file as track {of_file[item.file].track.track_id}"
                settled.append(self._refuse(track, "bad_metadata", detail))
            else:
                settled.append(track)
        return settled

    def _refuse(self, track: Track, reason: str, detail: str) -> Reject:
        return self._writable(Reject(track.track_id, track.uri, track.genre, reason, detail))

    def _writable(self, reject: Reject) -> Reject:
        """The same with its uri whole, and cut and escaped as far as writing it needs."""
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
    if len(track.uri) > MAX_URI:  # resolving links takes time by the square of it
        return f"its path is longer than {MAX_URI} characters"
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
