"""Escaping of text from outside, before it is shown."""

from __future__ import annotations


def printable(text: str) -> str:
    """Return the text with unprintable characters escaped: a terminal obeys none of them."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def printable_cell(text: str) -> str:
    """Return printable text for a CSV cell that no spreadsheet takes for a formula."""
    shown = printable(text)
    return "'" + shown if shown[:1] and shown[:1] in "=+-@" else shown
