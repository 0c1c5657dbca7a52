"""Texts of fields in the docstrings of dataclasses."""

from __future__ import annotations

import inspect
import re

_FIELD = re.compile(r"^  (\w+(?:, \w+)*): (.*(?:\n    .*)*)", re.MULTILINE)


def described(docstring: str) -> tuple[str, dict[str, str]]:
    """Return a docstring's text and, by field, that of its section `Attributes:`."""
    text, _, section = inspect.cleandoc(docstring).partition("\n\nAttributes:\n")
    section = re.split(r"^\w+:$", section, maxsplit=1, flags=re.MULTILINE)[0]
    fields = {
        name: " ".join(words.split())
        for names, words in _FIELD.findall(section)
        for name in names.split(", ")
    }
    return " ".join(text.split()), fields
