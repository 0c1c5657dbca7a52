"""Walk of genre folders in sorted order, safe against links and loops."""

from __future__ import annotations

import os
from collections.abc import Iterator

from components.audio.decoding.formats import is_readable, refusal
from components.datasets.files.base import DataFiles
from components.datasets.track import Reject, Track


def genre_folders(files: DataFiles) -> list[str]:
    """Return the sorted names of top-level folders (and links to folders), hidden ones excluded."""
    return [e.name for e in files.entries("") if e.is_folder and e.name and not _hidden(e.name)]


def walk_genre(files: DataFiles, genre: str, *, recursive: bool) -> Iterator[Track | Reject]:
    """Yield the audio files below a genre folder; ids are their paths without extension.

    A folder's own files come first, then its sub-folders, both sorted by name. Hidden entries,
    and files that are no audio by their names (covers, texts) are skipped. Audio that cannot be
    decoded is a reject. A linked folder is one reject, as its files would come twice or from
    outside the data folder. A linked file counts as a file.

    Args:
      files: the data folder.
      genre: name of the genre folder.
      recursive: whether to enter sub-folders.
    """
    stack = [genre]
    while stack:
        folder = stack.pop()
        if files.is_link(folder):
            yield _linked_folder(files, folder, genre)
            continue
        try:
            entries = [entry for entry in files.entries(folder) if not _hidden(entry.name)]
        except OSError as error:
            detail = f"the folder cannot be read: {error.strerror}"
            yield Reject(folder, files.uri(folder), genre, "missing_file", detail)
            continue
        for entry in entries:
            if entry.is_folder:
                continue
            uri = os.path.join(folder, entry.name)
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
            yield Reject(f"{folder}/", f"{files.uri(folder)}//", genre, "bad_metadata", detail)
        stack.extend(os.path.join(folder, name) for name in reversed(names) if name)


def _linked_folder(files: DataFiles, folder: str, genre: str) -> Reject:
    path = files.uri(folder)
    outside = files.leads_outside(path)
    if outside:
        detail = f"a link to the folder {outside}"
        return Reject(folder, path, genre, "outside_root", detail)
    detail = "a link to another folder of the data folder; linked folders are not read"
    return Reject(folder, path, genre, "bad_metadata", detail)


def _hidden(name: str) -> bool:
    return name.startswith(".")
