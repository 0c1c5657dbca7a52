"""Artists of songs in genre folders: from their tags, their names, or the folders between."""

from __future__ import annotations

import collections
import dataclasses
import importlib.util
import os
import re
from collections.abc import Callable, Mapping, Sequence

from components.datasets import text
from components.datasets.admission import MAX_ARTIST_ID_CHARACTERS
from components.datasets.text import artist_key
from components.datasets.track import Track

# A source counts if it names the artists of so many tracks, and so many artists of each genre, one
# for each split.
MIN_SHARE = 0.8
MIN_ARTISTS = 3
# Tags of so many files decide whether the others are read.
TRIED_FILES = 100

# "01 Title" and "01 - Title" have a number there, and no artist.
_NUMBER = re.compile(r"[\d\s._-]*")
_SEPARATOR = " - "


@dataclasses.dataclass(frozen=True)
class Artists:
    """Artists of a data folder.

    Attributes:
      source: where they are named, in words.
      by_track: name by track id; tracks without one are absent.
    """

    source: str
    by_track: Mapping[str, str]


def has_tag_reader() -> bool:
    """Return whether tags can be read here (the extra `tags`)."""
    return importlib.util.find_spec("mutagen") is not None


def find_artists(
    tracks: Sequence[Track],
    root: str,
    read_tag: Callable[[str], str] | None,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> Artists | None:
    """Return the artists by the first source that names enough of them; None if none does.

    Args:
      tracks: the tracks, in genre folders.
      root: the data folder.
      read_tag: returns the artist in a file's tags, or ""; None if tags cannot be read.
      advance: called with the number of files whose tags were read, and of all.
    """
    if read_tag is not None:
        step = max(1, len(tracks) // TRIED_FILES)
        if _covers(_by_tags(tracks[::step], read_tag), tracks[::step], min_artists=1):
            found = _by_tags(tracks, read_tag, advance)
            if _covers(found, tracks):
                return Artists("the tags of the files", found)
    for source, guess in (
        ("the names of the files, ARTIST - TITLE", _of_name),
        ("the folders between genre and file, GENRE/ARTIST/...", _of_folder),
    ):
        found = {track.track_id: name for track in tracks if (name := guess(track.uri, root))}
        if _covers(found, tracks):
            return Artists(source, found)
    return None


def _by_tags(
    tracks: Sequence[Track],
    read_tag: Callable[[str], str],
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, str]:
    found = {}
    for number, track in enumerate(tracks, 1):
        try:
            name = _usable(read_tag(track.uri))
        except OSError:
            name = ""  # check-data and the run say why
        if name:
            found[track.track_id] = name
        advance(number, len(tracks))
    return found


def _of_name(uri: str, root: str) -> str:
    """Return the artist in a name such as "01 Nina Simone - Sinnerman.mp3", or ""."""
    stem = os.path.splitext(os.path.basename(uri))[0]
    parts = [part.strip() for part in stem.split(_SEPARATOR)]
    while len(parts) > 1 and not _without_number(parts[0]):
        parts = parts[1:]
    return _usable(_without_number(parts[0])) if len(parts) > 1 else ""


def _of_folder(uri: str, root: str) -> str:
    """Return the first folder below the genre's, or ""."""
    parts = os.path.relpath(uri, root).split(os.sep)
    return _usable(parts[1]) if len(parts) > 2 else ""


def _without_number(part: str) -> str:
    """Return a part of a name without a number before it: "01. Nina" is "Nina", "10cc" stays."""
    number = _NUMBER.match(part)
    end = number.end() if number else 0
    return part[end:] if end == len(part) or part[:end][-1:] in (" ", ".", "-", "_") else part


def _usable(name: str) -> str:
    """Return a name as an artist id, or "" if it cannot be one."""
    name = text.normalise(name)
    return "" if text.problem(name, MAX_ARTIST_ID_CHARACTERS) else name


def _covers(
    found: Mapping[str, str], tracks: Sequence[Track], min_artists: int = MIN_ARTISTS
) -> bool:
    """Return whether enough tracks have an artist, and each genre enough artists."""
    artists: dict[str, set[str]] = collections.defaultdict(set)
    for track in tracks:
        if track.track_id in found:
            artists[track.genre].add(artist_key(found[track.track_id]))
    genres = {track.genre for track in tracks}
    return len(found) >= MIN_SHARE * len(tracks) > 0 and all(
        len(artists[genre]) >= min_artists for genre in genres
    )
