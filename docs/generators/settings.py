"""Reference of all settings, from the dataclasses of the configuration."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import typing
from collections.abc import Iterator
from typing import Any

from pipeline.config.messages import allowed
from pipeline.config.schema import Config

# Names that the user chooses, as headings show them.
_FREE = {"models": "NAME", "resources": "STEP"}
_ATTRIBUTE = re.compile(r"^  (\w+(?:, \w+)*): (.*(?:\n    .*)*)", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Setting:
    """One key of a table.

    Attributes:
      name: the key.
      kind: the allowed values, in words.
      default: as TOML writes it; "" where nothing is set.
      meaning: the text of the dataclass's docstring.
    """

    name: str
    kind: str
    default: str
    meaning: str


@dataclasses.dataclass(frozen=True)
class Table:
    """One table of the configuration.

    Attributes:
      path: its name's parts, free names in capitals.
      about: the docstring without its sections.
      settings: its keys that are no tables, in the dataclass's order.
    """

    path: tuple[str, ...]
    about: str
    settings: tuple[Setting, ...]


def tables() -> Iterator[Table]:
    """Yield each table of the configuration, in the order of the dataclasses."""
    for field, kind in _fields(Config):
        yield from _tables(kind, (field.name,))


def settings_page() -> str:
    """Return all tables as Markdown, each under a heading of its own."""
    return "\n\n".join(_section(table) for table in tables())


def _section(table: Table) -> str:
    heading = f"## `[{'.'.join(table.path)}]`"
    rows = [
        f"| `{one.name}` | {_cell(one.kind)} | {f'`{one.default}`' if one.default else ''} "
        f"| {_cell(one.meaning)} |"
        for one in table.settings
    ]
    head = ["| key | value | default | meaning |", "|---|---|---|---|"]
    listed = [":::{container} rows settings", *head, *rows, ":::"] if rows else []
    return "\n".join([heading, "", table.about, "", *listed])


def _tables(kind: Any, path: tuple[str, ...]) -> Iterator[Table]:
    if typing.get_origin(kind) is dict:
        kind = typing.get_args(kind)[1]
        path = (*path, _FREE[path[-1]])
    inner = [(field, each) for field, each in _fields(kind) if _is_table(each)]
    meanings = _meanings(kind)
    yield Table(
        path,
        about=_about(kind),
        settings=tuple(
            Setting(field.name, allowed((*path, field.name)), _default(field), meanings[field.name])
            for field, each in _fields(kind)
            if not _is_table(each)
        ),
    )
    for field, each in inner:
        yield from _tables(each, (*path, field.name))


def _fields(table: Any) -> Iterator[tuple[dataclasses.Field[Any], Any]]:
    kinds = typing.get_type_hints(table, include_extras=True)
    for field in dataclasses.fields(table):
        yield field, kinds[field.name]


def _is_table(kind: Any) -> bool:
    """Return whether a field is a table, or several under names that the user chooses."""
    if typing.get_origin(kind) is dict:
        return dataclasses.is_dataclass(typing.get_args(kind)[1])
    return dataclasses.is_dataclass(kind)


def _default(field: dataclasses.Field[Any]) -> str:
    value = field.default
    if field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
    if value is None or value == {}:
        return ""
    return json.dumps(value, ensure_ascii=False)


def _about(kind: type) -> str:
    """Return a docstring's text before its sections, with code in backticks."""
    text = inspect.cleandoc(kind.__doc__ or "")
    return re.split(r"^(?:Attributes|Raises|Args):$", text, flags=re.MULTILINE)[0].strip()


def _meanings(kind: type) -> dict[str, str]:
    """Return the text of each attribute, from the docstrings of a class and its bases.

    Raises:
      KeyError: by the caller's look-up, for a field that no docstring explains.
    """
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        text = inspect.cleandoc(base.__doc__ or "")
        _, _, section = text.partition("Attributes:\n")
        section = re.split(r"^\S", section, maxsplit=1, flags=re.MULTILINE)[0]
        for names, meaning in _ATTRIBUTE.findall(section):
            for name in names.split(", "):
                found[name] = " ".join(meaning.split())
    return found


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
