"""Frozen dataclasses from the plain values that dataclasses.asdict and JSON make of them."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

T = TypeVar("T")


def from_json(kind: type[T], values: Mapping[str, Any], *, partial: bool = False) -> T:
    """Return the dataclass that has `values` as its fields; nested dataclasses too.

    Args:
      kind: the dataclass.
      values: its fields by name, with lists for tuples and mappings for dataclasses.
      partial: whether missing fields take their defaults.

    Raises:
      ValueError: a field is missing or unknown, or the dataclass rejects a value.
    """
    names = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    if not names >= set(values) or not (partial or names == set(values)):
        raise ValueError(f"{kind.__name__} needs exactly {sorted(names)}, got {sorted(values)}")
    hints = typing.get_type_hints(kind)
    return kind(**{name: _field(hints[name], value, partial) for name, value in values.items()})


def _field(hint: Any, value: Any, partial: bool) -> Any:
    if dataclasses.is_dataclass(hint):
        return from_json(typing.cast(type, hint), value, partial=partial)
    # JSON has lists alone.
    return tuple(value) if typing.get_origin(hint) is tuple else value
