"""Audio files that `genreflow predict` reads: files, and the contents of folders."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterator, Sequence

from components.audio.decoding.formats import is_readable, readable_extensions
from components.common.errors import UsageError
from components.storage.uri import is_remote


def audio_files(given: Sequence[str]) -> list[str]:
    """Return the files as given, with each folder replaced by the audio files below it, sorted.

    In a folder, hidden files and links that lead out of it are skipped, and links to folders are
    not followed.

    Raises:
      UsageError: a folder contains no audio file.
      OSError: a folder cannot be read.
    """
    found = []
    for path in given:
        if is_remote(path) or not os.path.isdir(path):
            found.append(path)
            continue
        inside = sorted(_inside(path), key=lambda name: pathlib.PurePath(name).parts)
        if not inside:
            raise UsageError(
                f"{path}: no audio files in this folder ({', '.join(readable_extensions())}); give "
                "another folder, or files"
            )
        found.extend(inside)
    return found


def _inside(folder: str) -> Iterator[str]:
    root = os.path.realpath(folder)
    for parent, folders, names in os.walk(folder, onerror=_raise):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = os.path.join(parent, name)
            if name.startswith(".") or not is_readable(name):
                continue
            if os.path.islink(path) and not _leads_inside(path, root):
                continue
            yield path


def _leads_inside(link: str, root: str) -> bool:
    return os.path.commonpath([os.path.realpath(link), root]) == root


def _raise(error: OSError) -> None:
    raise error
