"""The catalogue: audio files of a folder, a prefix of an object store, or a manifest.

Files are listed one by one: a folder of a million files is never in memory as a whole.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator

from components.audio.decoding.formats import is_readable, refusal
from components.common.errors import UsageError
from components.datasets import text
from components.datasets.admission import text_problem
from components.datasets.files.base import DataFiles
from components.datasets.files.local import LocalFiles
from components.datasets.files.open import open_files
from components.datasets.readers import manifest
from components.datasets.readers.tree import is_hidden, linked_folder
from components.datasets.track import Note, Reject, Track
from components.storage import objects
from components.storage.uri import SCHEME, checked_place, is_remote
from genreflow.labelling.parts import Listed

OPTION = "--data-dir"


def place_of(data: str) -> str:
    """Return the catalogue's absolute path or URI.

    Raises:
      UsageError: it is empty, or not a local path or an s3:// URI.
    """
    if not data.strip():
        raise UsageError(f"{OPTION} is empty; name a folder, an s3:// URI or a manifest (CSV)")
    place = checked_place(data, OPTION)
    return place if is_remote(place) else os.path.abspath(os.path.expanduser(place))


def list_files(place: str) -> Iterator[Listed]:
    """Yield the catalogue's files in no particular order; those that cannot be used with a reason.

    In a folder, hidden files and files that are no audio by their names are skipped; linked folders
    are not entered, and files that links in it name must lie in the folder. A manifest is a CSV
    file with the column `uri`, and `track_id` if the ids are not the paths; its paths start at its
    own folder and may lead anywhere.

    Args:
      place: the result of `place_of`.

    Raises:
      UsageError: there is no such place, or it has no audio.
      StorageError: the object store cannot be read.
    """
    if _is_manifest(place):
        listed = _manifest(place)
    elif is_remote(place):
        listed = _objects(place)
    else:
        files = LocalFiles(place)
        files.check("check --data-dir")
        listed = _folder(files)
    empty = True
    for file in listed:
        empty = False
        yield file
    if empty:
        raise UsageError(
            f"{place}: there is no audio in it (such as .mp3, .flac or .wav); check {OPTION}"
        )


def _is_manifest(place: str) -> bool:
    if is_remote(place):
        return place.lower().endswith(".csv")
    if not os.path.isfile(place):
        return False
    if is_readable(place) or refusal(place):
        raise UsageError(
            f"{place}: is one audio file; name a folder or a manifest (CSV) with {OPTION}, or use "
            "`genreflow predict`"
        )
    return True


def _folder(files: LocalFiles) -> Iterator[Listed]:
    """Yield a local folder's files, a folder at a time, in the order of the disk."""
    stack = [""]
    while stack:
        current = stack.pop()
        if files.is_link(current):
            yield _refused(linked_folder(files, current, ""))
            continue
        try:
            with os.scandir(os.path.join(files.root, current)) as entries:
                for entry in entries:
                    if is_hidden(entry.name):
                        continue
                    path = os.path.join(current, entry.name)
                    if _is_folder(entry):
                        stack.append(path)
                    elif is_readable(entry.name) or refusal(entry.name):
                        yield _local_file(files, path)
        except OSError as error:
            detail = f"the folder cannot be read: {error.strerror}"
            yield _refused(Reject(current, files.uri(current), "", "missing_file", detail))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _local_file(files: LocalFiles, path: str) -> Listed:
    track = Track(os.path.splitext(path)[0], files.uri(path), "")
    problem = text_problem(track, SCHEME)
    if problem:
        return _refused(Reject(track.track_id, track.uri, "", "bad_metadata", problem))
    refused = refusal(path)
    if refused:
        return Listed(track.uri, track.track_id, reason="undecodable", detail=refused)
    status = files.status(track.uri)
    if status.problem:
        return Listed(track.uri, track.track_id, None, "", *status.problem)
    return with_state(track.uri, track.track_id)


def _objects(place: str) -> Iterator[Listed]:
    """Yield the objects below a URI, a page of a thousand at a time."""
    prefix = f"{place}/"
    for item in objects.list_objects(prefix):
        path = item.uri[len(prefix) :]
        names = path.split("/")
        if any(name and is_hidden(name) for name in names):
            continue
        refused = refusal(path)
        if not (is_readable(path) or refused):
            continue
        track = Track(posixpath.splitext(path)[0], item.uri, "")
        problem = text_problem(track, SCHEME)
        if "" in names:
            problem = "a folder without a name, whose files no path can reach"
        if problem:
            yield _refused(Reject(track.track_id, track.uri, "", "bad_metadata", problem))
        elif refused:
            yield Listed(track.uri, track.track_id, reason="undecodable", detail=refused)
        elif not item.state.size_bytes:
            yield Listed(track.uri, track.track_id, None, "", "empty_file", "0 bytes")
        else:
            yield Listed(track.uri, track.track_id, item.state.size_bytes, item.state.etag)


def _manifest(place: str) -> Iterator[Listed]:
    folder, name = (posixpath if is_remote(place) else os.path).split(place)
    files = open_files(folder)
    if not files.is_file(name):
        raise UsageError(f"{place}: no such manifest; check {OPTION}")
    for item in manifest.read_file(files.uri(name), files, required=("uri",)):
        if isinstance(item, Note):
            continue
        yield _refused(item) if isinstance(item, Reject) else _named(item, files)


def _named(track: Track, files: DataFiles) -> Listed:
    """Return the file that a manifest's row names."""
    problem = text_problem(track, SCHEME)
    if problem:
        return _refused(Reject(track.track_id, track.uri, "", "bad_metadata", problem))
    uri = files.uri(track.uri) if not is_remote(track.uri) else track.uri
    if is_remote(uri):
        return Listed(uri, track.track_id)  # a worker asks for its state
    return with_state(uri, track.track_id)


def with_state(uri: str, track_id: str) -> Listed:
    """Return a local file with its state, or with the reason why it cannot be used."""
    try:
        status = os.stat(uri)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "cannot be opened"
        return Listed(uri, track_id, None, "", "missing_file", why)
    if not os.path.isfile(uri):
        return Listed(uri, track_id, None, "", "missing_file", "not a regular file")
    if not status.st_size:
        return Listed(uri, track_id, None, "", "empty_file", "0 bytes")
    return Listed(uri, track_id, status.st_size, str(status.st_mtime_ns))


def _refused(item: Reject) -> Listed:
    uri, track_id = (text.encodable(value, 4096) for value in (item.uri, item.track_id))
    return Listed(uri, track_id, None, "", item.reason, text.encodable(item.detail))
