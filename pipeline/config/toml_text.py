"""Values as TOML writes them (https://toml.io/en/v1.0.0). tomli reads TOML, and writes none."""

from __future__ import annotations

import math
from typing import Any

_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def toml_string(text: str) -> str:
    """Return a text as a basic string; what is unprintable is escaped, bidirectional marks too.

    Raises:
      ValueError: the text holds half a surrogate pair, which stands for a byte of a file name that
        is not UTF-8, and which TOML cannot write.
    """
    return '"' + "".join(map(_escaped, text)) + '"'


def toml_value(value: Any) -> str:
    """Return a string, number, boolean, or list of such values on one line.

    Raises:
      ValueError: it is a text that TOML cannot write.
      TypeError: it is of another type.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)  # inf, nan
    if isinstance(value, str):
        return toml_string(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(toml_value, value))}]"
    raise TypeError(f"{type(value).__name__} is no value of a setting")


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    number = ord(character)
    if 0xD800 <= number < 0xE000:
        raise ValueError(f"{character!a} is no character that TOML can write")
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
