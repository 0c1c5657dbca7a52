"""Overrides of single values from the command line: `--set training.epochs=3`."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from typing import Any

from components.common.escape import printable
from pipeline.config.messages import ConfigError, show_key

# A part of a key as TOML writes it: bare, or quoted and then possibly with dots.
_PART = r"""(?:\s*"(?:[^"\\\n]|\\.)*"\s*|\s*'[^'\n]*'\s*|[^.="']+)"""
_PARTS = re.compile(_PART)
_KEY = re.compile(rf"{_PART}(?:\.{_PART})*")


@dataclasses.dataclass(frozen=True)
class Override:
    """New value of a key.

    Attributes:
      origin: name of the override's source in messages.
      path: the key.
      value: the value.
      typed: whether the value's type was guessed from text.
    """

    origin: str
    path: tuple[str, ...]
    value: Any
    typed: bool = False

    def __str__(self) -> str:
        return self.origin


def parse_override(text: str) -> Override:
    """Parse KEY=VALUE. The value is TOML, or a bare string if it is not valid TOML.

    As shells remove double quotes, `[Rock,Folk]` means `["Rock", "Folk"]`. The key follows TOML's
    syntax: `kubeflow.resources."Trainer.vgg16".gpus`.

    Raises:
      ConfigError: the "=", the key or the value is missing.
    """
    origin = f"--set {printable(text)}"
    found = _KEY.match(text)
    key, value = (found.group(), text[found.end() :]) if found else ("", text)
    path = parse_key(key)
    if not path or not value.startswith("="):
        raise ConfigError(f"{origin}: must be KEY=VALUE, such as --set training.epochs=3")
    value = value[1:].strip()
    if not value:
        raise ConfigError(
            f"{origin}: no value after '='; for an empty string write --set '{show_key(path)}=\"\"'"
        )
    return Override(origin, path, _parse_value(value), typed=True)


def parse_key(text: str) -> tuple[str, ...]:
    """Return the parts of a key such as `training.epochs` or `a."b.c"`; () if it is invalid."""
    import tomli

    if not _KEY.fullmatch(text):
        return ()
    parts = [part.strip() for part in _PARTS.findall(text)]
    try:
        path = [
            str(tomli.loads(f"part = {part}")["part"]) if part[:1] in ("'", '"') else part
            for part in parts
        ]
    except tomli.TOMLDecodeError:
        return ()
    return tuple(path) if all(path) else ()


def _parse_value(text: str) -> Any:
    import tomli

    try:
        parsed = tomli.loads(f"value = {text}")
    except tomli.TOMLDecodeError:
        parsed = {}
    # More than one key: the text contained a line break, and is not a single value.
    if list(parsed) == ["value"]:
        return parsed["value"]
    if text.startswith("[") and text.endswith("]"):
        items = text[1:-1].strip().removesuffix(",")
        return [_parse_value(item.strip()) for item in items.split(",")]
    return text


def apply_overrides(values: dict[str, Any], overrides: Iterable[Override]) -> None:
    """Set each override's value in the nested tables, in order; create missing tables.

    Raises:
      ConfigError: a part of the path is a value, and not a table.
    """
    for override in overrides:
        *parents, name = override.path
        table = values
        for depth, parent in enumerate(parents, start=1):
            table = table.setdefault(parent, {})
            if not isinstance(table, dict):
                raise ConfigError(f"{override}: {show_key(override.path[:depth])} is not a table")
        table[name] = override.value
