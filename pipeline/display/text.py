"""Text for the terminal: escaping, and names of compared runs. Light to import."""

from __future__ import annotations

from components.common.escape import printable

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"  # names of compared runs


def escaped(text: object) -> str:
    """Return outside text that is safe for the terminal and for rich's markup."""
    from rich.markup import escape  # here, so that commands may import this module at once

    return escape(printable(str(text)))
