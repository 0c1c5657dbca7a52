"""Escaping of text for the terminal."""

from __future__ import annotations

from rich.markup import escape

from components.common.escape import inert


def shown(text: object) -> str:
    """Text from outside, made inert for the terminal and for rich's markup."""
    return escape(inert(str(text)))
