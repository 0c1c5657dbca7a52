"""`--set training.epochs=3`: one value of the configuration, from the command line."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from components.inert import inert
from pipeline.config_errors import ConfigError, show_key


@dataclasses.dataclass(frozen=True)
class Override:
    """`text` as the user wrote it, and what it says: the value for the key at `path`."""

    text: str
    path: tuple[str, ...]
    value: Any

    def __str__(self) -> str:
        return f"--set {inert(self.text)}"


def parse_override(text: str) -> Override:
    """Reads KEY=VALUE; the value is TOML, or else a bare string.

    Because shells eat double quotes, `[Rock,Folk]` is read as `["Rock", "Folk"]`.

    Raises:
      ConfigError: no "=", an empty key or no value, naming the override.
    """
    key, equals, value = text.partition("=")
    path = tuple(part.strip() for part in key.split("."))
    if not equals or not all(path):
        raise ConfigError(
            f"--set {inert(text)}: must be KEY=VALUE, such as --set training.epochs=3"
        )
    if not value.strip():
        raise ConfigError(
            f"--set {inert(text)}: no value after '='; an empty string is written "
            f"--set '{show_key(path)}=\"\"'"
        )
    return Override(text, path, _parse_value(value.strip()))


def _parse_value(text: str) -> Any:
    import tomli

    try:
        parsed = tomli.loads(f"value = {text}")
    except tomli.TOMLDecodeError:
        parsed = {}
    # More than one key: the text held a line break, and is no single value.
    if list(parsed) == ["value"]:
        return parsed["value"]
    if text.startswith("[") and text.endswith("]"):
        items = text[1:-1].strip().removesuffix(",")
        return [_parse_value(item.strip()) for item in items.split(",")]
    return text


def apply_overrides(values: dict[str, Any], overrides: Iterable[Override]) -> None:
    """Sets each override's value in the nested tables, in order; missing tables are made.

    Raises:
      ConfigError: a part of the path holds a value that is not a table.
    """
    for override in overrides:
        *parents, name = override.path
        table = values
        for depth, parent in enumerate(parents, start=1):
            table = table.setdefault(parent, {})
            if not isinstance(table, dict):
                raise ConfigError(f"{override}: {show_key(override.path[:depth])} is not a table")
        table[name] = override.value
