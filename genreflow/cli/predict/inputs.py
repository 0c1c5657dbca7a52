"""Which files `genreflow predict` was asked about: those named, and those in folders named."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterator, Sequence

from components.common.errors import UsageError
from components.storage.uri import is_remote


def audio_files(given: Sequence[str]) -> list[str]:
    """Files as they were given; in place of a folder, the audio files below it, sorted.

    A folder's hidden files, and links that lead out of it, are passed over; links to folders
    are not followed.

    Raises:
      UsageError: a folder holds no audio.
      OSError: a folder cannot be read.
    """
    found = []
    for path in given:
        if is_remote(path) or not os.path.isdir(path):
            found.append(path)
            continue
        inside = sorted(_inside(path), key=lambda name: pathlib.PurePath(name).parts)
        if not inside:
            from components.audio.decoding.decode import EXTENSIONS

            raise UsageError(
                f"{path}: no audio files in this folder ({', '.join(sorted(EXTENSIONS))})"
            )
        found.extend(inside)
    return found


def _inside(folder: str) -> Iterator[str]:
    from components.audio.decoding.decode import EXTENSIONS

    root = os.path.realpath(folder)
    for at, folders, names in os.walk(folder, onerror=_raise):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = os.path.join(at, name)
            if name.startswith(".") or os.path.splitext(name)[1].lower() not in EXTENSIONS:
                continue
            if os.path.islink(path) and not _leads_inside(path, root):
                continue
            yield path


def _leads_inside(link: str, root: str) -> bool:
    return os.path.commonpath([os.path.realpath(link), root]) == root


def _raise(error: OSError) -> None:
    raise error
