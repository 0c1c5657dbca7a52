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
    found = ""
    for index, part in enumerate(path.split("/")):
        forms = [part, *(unicodedata.normalize(form, part) for form in ("NFC", "NFD"))]
        starts = [f"{found}/{form}" if index else form for form in dict.fromkeys(forms)]
        if not part:  # the start of an absolute path, or two slashes
            found = starts[0]
            continue
        there = next((start for start in starts if exists(start)), None)
        if there is None:
            return None
        found = there
    return found
