"""Text of a configuration file: the chosen values, and all defaults as comments."""

from __future__ import annotations

import dataclasses
import textwrap
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from components.common.docstrings import described
from components.common.escape import printable
from pipeline.config.schema import Config
from pipeline.config.toml_text import toml_value

_WIDTH = 100
# Shipped configurations and the reference have them; they are for machines, not for music.
_LEFT_OUT = ("kubeflow",)
_REST = (
    "Everything below has its default. Remove the # of a table and of a key to change it; "
    "docs/reference/settings.md has all keys."
)


@dataclasses.dataclass(frozen=True)
class Key:
    """Chosen value of a key.

    Attributes:
      value: the value.
      comment: sentences above it.
      notes: comments behind the items of a list, which then has a line for each.
    """

    value: Any
    comment: Sequence[str] = ()
    notes: Sequence[str] = ()


# By table and key, such as {"split": {"policy": Key("by_track")}}; networks are "models.NAME".
Tables = Mapping[str, Mapping[str, Key]]


def file_text(header: Sequence[str], tables: Tables, comments: Mapping[str, str]) -> str:
    """Return a configuration file.

    Args:
      header: lines of the comment at its top.
      tables: what is chosen, in the order of the file.
      comments: a sentence above a table.
    """
    lines = list(_comment(header))
    for name, keys in tables.items():
        lines += ["", *_comment([comments[name]] if name in comments else []), f"[{name}]"]
        for key, chosen in keys.items():
            lines += [*_comment(chosen.comment), *_assignment(key, chosen)]
        if not name.startswith("models."):
            lines += _defaults(_kind_of(name), set(keys))
    others = [
        (field.name, kind)
        for field in dataclasses.fields(Config)
        if dataclasses.is_dataclass(kind := _types(Config)[field.name])
        and field.name not in tables
        and field.name not in _LEFT_OUT
    ]
    lines += ["", *_comment([_REST])]
    for name, kind in others:
        lines += ["", f"# [{name}]", *_defaults(kind, set())]
    nested = [(name, _kind_of(name)) for name in tables if not name.startswith("models.")] + others
    for name, kind in nested:
        for inner, inner_kind in _types(kind).items():
            if dataclasses.is_dataclass(inner_kind):
                lines += ["", f"# [{name}.{inner}]", *_defaults(inner_kind, set())]
    return "\n".join(lines) + "\n"


def _assignment(key: str, chosen: Key) -> Iterator[str]:
    if not chosen.notes:
        yield f"{key} = {toml_value(chosen.value)}"
        return
    yield f"{key} = ["
    for item, note in zip(chosen.value, chosen.notes, strict=True):
        yield f"    {toml_value(item)}, # {printable(note)}"
    yield "]"


def _defaults(kind: Any, chosen: set[str]) -> Iterator[str]:
    """Yield the keys of a table that are not chosen, as comments, each with its meaning."""
    _, meanings = described(kind.__doc__ or "")
    for field in dataclasses.fields(kind):
        if field.name in chosen or _is_table(_types(kind)[field.name]):
            continue
        default = field.default
        if default is dataclasses.MISSING and callable(field.default_factory):
            default = field.default_factory()
        meaning = _first_sentence(meanings.get(field.name, ""))
        if default is None:
            yield from _comment([f"{field.name} is not set: {meaning}"])
            continue
        yield from _comment([meaning] if meaning else [])
        yield f"# {field.name} = {toml_value(default)}"


def _first_sentence(text: str) -> str:
    first = text.split(". ")[0].rstrip(".;")
    return first[:1].upper() + first[1:] + "." if first else ""


def _comment(sentences: Sequence[str]) -> Iterator[str]:
    for sentence in sentences:
        yield from textwrap.wrap(
            printable(sentence), _WIDTH, initial_indent="# ", subsequent_indent="# ",
            break_long_words=False, break_on_hyphens=False,
        ) or ["#"]  # fmt: skip


def _types(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _kind_of(table: str) -> Any:
    return _types(Config)[table]


def _is_table(kind: Any) -> bool:
    return dataclasses.is_dataclass(kind) or typing.get_origin(kind) is dict
