"""Escaping of text for the terminal."""

from __future__ import annotations

from rich.markup import escape

from components.common.escape import printable


def escaped(text: object) -> str:
    """Return outside text that is safe for the terminal and for rich's markup."""
    return escape(printable(str(text)))
