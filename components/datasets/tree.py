"""Walks a folder of genre folders, in sorted order, safe against links and loops."""

from __future__ import annotations

import os
from collections.abc import Iterator

from components.datasets.admission import leads_outside
from components.datasets.track import Reject, Track

# Audio that libsndfile does not read here: named as rejects, where other files
# (covers, texts) are passed over.
OTHER_AUDIO = frozenset(
    {".aac", ".aif", ".aiff", ".alac", ".ape", ".m4a", ".mp2", ".mp4", ".opus", ".wma", ".wv"}
)


def genre_folders(root: str) -> list[str]:
    """Sorted names of the folders (and links to folders) in `root` that are not hidden."""
    with os.scandir(root) as entries:
        return sorted(e.name for e in entries if not _hidden(e.name) and _is_folder(e))


def walk_genre(
    root: str, genre: str, extensions: frozenset[str], *, recursive: bool, advice: str = ""
) -> Iterator[Track | Reject]:
    """The audio files below `root/genre`; ids are paths relative to `root` without extension.

    A folder's own files come first, then its sub-folders, both sorted by name. Hidden
    entries are passed over. Linked folders are not entered (their files would come twice
    or from outside): each is one reject. A linked file counts as a file.

    Args:
      extensions: lower-case, with the dot.
      recursive: enter sub-folders of the genre folder.
      advice: what to do about audio of another extension, for its reject.
    """
    real_root = os.path.realpath(root)
    stack = [genre]
    while stack:
        folder = stack.pop()
        path = os.path.join(root, folder)
        if os.path.islink(path):
            yield _linked_folder(path, folder, genre, real_root)
            continue
        try:
            with os.scandir(path) as entries:
                found = sorted((e.name, _is_folder(e)) for e in entries if not _hidden(e.name))
        except OSError as error:
            detail = f"the folder cannot be read: {error.strerror}"
            yield Reject(folder, path, genre, "missing_file", detail)
            continue
        for name, is_folder in found:
            if is_folder:
                continue
            uri = os.path.join(folder, name)
            stem, extension = os.path.splitext(uri)
            if extension.lower() in extensions:
                yield Track(track_id=stem, uri=uri, genre=genre)
            elif extension.lower() in OTHER_AUDIO:
                detail = f"{extension.lower()} is not read{advice}"
                yield Reject(stem, os.path.join(root, uri), genre, "undecodable", detail)
        if recursive:
            names = [name for name, is_folder in found if is_folder]
            stack.extend(os.path.join(folder, name) for name in reversed(names))


def _linked_folder(path: str, folder: str, genre: str, real_root: str) -> Reject:
    outside = leads_outside(path, real_root)
    if outside:
        detail = f"a link to the folder {outside}"
        return Reject(folder, path, genre, "outside_root", detail)
    detail = "a link to another folder of the data folder; links to folders are not entered"
    return Reject(folder, path, genre, "bad_metadata", detail)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, or a disk fault: opening it will say which
        return False


def _hidden(name: str) -> bool:
    return name.startswith(".")
