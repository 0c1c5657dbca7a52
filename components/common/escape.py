"""Text from outside, shown so that it cannot act."""

from __future__ import annotations


def inert(text: str) -> str:
    """Text that no terminal takes for a command: what is not printable is escaped."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def inert_cell(text: str) -> str:
    """The same for a cell of a CSV file: no spreadsheet takes it for a formula either."""
    shown = inert(text)
    return "'" + shown if shown[:1] and shown[:1] in "=+-@" else shown
