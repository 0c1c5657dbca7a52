"""Walk of folders of audio in sorted order, safe against links and loops."""

from __future__ import annotations

import os
from collections.abc import Iterator

from components.audio.decoding.formats import is_readable, refusal
from components.datasets.files.base import DataFiles
from components.datasets.track import Reject, Track


def sub_folders(files: DataFiles, folder: str = "") -> list[str]:
    """Return the sorted names of the folders (and links to folders) in a folder, less hidden ones.

    There are none in a linked folder, nor in one that cannot be read; `walk` says so.
    """
    try:
        entries = [] if files.is_link(folder) else files.entries(folder)
    except OSError:
        return []
    return [e.name for e in entries if e.is_folder and e.name and not is_hidden(e.name)]


def walk(
    files: DataFiles, folder: str, genre: str, *, recursive: bool = True
) -> Iterator[Track | Reject]:
    """Yield the audio files of a folder and below it; ids are their paths without extension.

    A folder's own files come first, then its sub-folders, both sorted by name. Hidden entries,
    and files that are no audio by their names (covers, texts), are skipped. Audio that cannot
    be decoded is a reject. A linked folder is one reject, as its files would come twice or from
    outside the data folder. A linked file counts as a file.

    Args:
      files: the data folder.
      folder: the folder, relative to the data folder.
      genre: genre of the tracks.
      recursive: whether to enter sub-folders.
    """
    stack = [folder]
    while stack:
        current = stack.pop()
        if files.is_link(current):
            yield linked_folder(files, current, genre)
            continue
        try:
            entries = [entry for entry in files.entries(current) if not is_hidden(entry.name)]
        except OSError as error:
            detail = f"the folder cannot be read: {error.strerror}"
            yield Reject(current, files.uri(current), genre, "missing_file", detail)
            continue
        for entry in entries:
            if entry.is_folder:
                continue
            uri = os.path.join(current, entry.name)
            stem = os.path.splitext(uri)[0]
            if is_readable(entry.name):
                yield Track(track_id=stem, uri=uri, genre=genre)
            elif refused := refusal(entry.name):
                yield Reject(stem, files.uri(uri), genre, "undecodable", refused)
        if not recursive:
            continue
        names = [entry.name for entry in entries if entry.is_folder]
        if "" in names:  # objects only: a key with two consecutive slashes
            detail = "a folder without a name, whose files no path can reach"
            yield Reject(f"{current}/", f"{files.uri(current)}//", genre, "bad_metadata", detail)
        stack.extend(os.path.join(current, name) for name in reversed(names) if name)


def refused(items: Iterator[Track | Reject], reason: str, detail: str) -> Iterator[Reject]:
    """Yield a reject with the reason for each audio file of `items`, and others as they are."""
    for item in items:
        if isinstance(item, Track) or item.reason == "undecodable":
            item = Reject(item.track_id, item.uri, item.genre, reason, detail)
        yield item


def linked_folder(files: DataFiles, folder: str, genre: str) -> Reject:
    """Return the reject of a link to a folder."""
    path = files.uri(folder)
    outside = files.leads_outside(path)
    if outside:
        detail = f"a link to the folder {outside}"
        return Reject(folder, path, genre, "outside_root", detail)
    detail = "a link to another folder of the data folder; linked folders are not read"
    return Reject(folder, path, genre, "bad_metadata", detail)


def is_hidden(name: str) -> bool:
    """Return whether an entry of a folder is hidden."""
    return name.startswith(".")
