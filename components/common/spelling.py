"""Paths whose accents are composed in one place and decomposed in another."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable


def find_spelling(path: str, exists: Callable[[str], bool]) -> str | None:
    """Return the spelling of a path that exists, or None.

    macOS lists names with decomposed accents (NFD), and most other programs write composed ones
    (NFC). To a file system they are different names. Each part of the path is tried as it is,
    composed, and decomposed.

    Args:
      path: path with slashes.
      exists: returns whether there is a file or a folder at a path.
    """
    if exists(path):
        return path
    if path.isascii():
        return None
    found = [""]  # all spellings of the path so far that exist
    for index, part in enumerate(path.split("/")):
        forms = dict.fromkeys([part, *(unicodedata.normalize(f, part) for f in ("NFC", "NFD"))])
        found = [f"{start}/{form}" if index else form for start in found for form in forms]
        if part:  # not the start of an absolute path, nor between two slashes
            found = [start for start in found if exists(start)]
    return found[0] if found else None
