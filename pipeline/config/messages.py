"""Messages about wrong configurations: the key, its value, and the allowed values."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import json
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import annotated_types

from components.common.errors import UsageError
from components.common.escape import printable
from components.datasets.settings import OneOf
from components.models.architectures import NETWORKS
from components.trainer.settings import REFUSED_AUGMENTATION, REFUSED_AUGMENTATION_REASON
from pipeline.config.schema import Config

_KINDS = {int: "a whole number", float: "a number", str: "a string", bool: "true or false"}
_UNIONS = (typing.Union, types.UnionType)
# Any name in a path of keys: a network's, or a Kubeflow step's.
_ANY = "*"
_FREE_NAMES = {"models": "<network>", "kubeflow": "<step>"}
# Tables with free names; their keys are no suggestions for typos in other tables.
_STEPS = ("kubeflow", "resources", _ANY)

# Values of earlier versions, and what to write for them.
_REPLACED: dict[tuple[tuple[str, ...], str], str] = {
    (("beam", "runner"), "in_memory"): 'runner = "direct" and workers = 1',
    (("beam", "runner"), "multi_processing"): 'runner = "direct"',
}


class ConfigError(UsageError, ValueError):
    """Error in a configuration. One line per problem, each naming its source."""


def show_value(value: Any) -> str:
    """Return a value roughly as TOML writes it, on one line, shortened."""
    text = printable(json.dumps(value, ensure_ascii=False, default=str))
    return text if len(text) <= 60 else text[:57] + "..."


def show_key(path: Iterable[str | int]) -> str:
    """Return ("dataset", "genres", 1) as `dataset.genres[1]`, ("a", "b.c") as `a."b.c"`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += "." + (show_value(part) if "." in part else printable(part))
    return text.removeprefix(".")


@functools.cache
def _known_keys() -> dict[tuple[str, ...], Any]:
    """Return every key's type by its path, e.g. ("training", "epochs"); tables included."""
    return _keys_of(Config, ())


def _keys_of(table: Any, prefix: tuple[str, ...]) -> dict[tuple[str, ...], Any]:
    """Return the keys of a table's dataclass and of the tables inside it."""
    keys: dict[tuple[str, ...], Any] = {}
    for name, kind in typing.get_type_hints(table, include_extras=True).items():
        if typing.get_origin(kind) is typing.ClassVar:
            continue
        path = (*prefix, name)
        keys[path] = kind
        if typing.get_origin(kind) is dict:
            path = (*path, _ANY)
            kind = typing.get_args(kind)[1]
            keys[path] = kind
        if dataclasses.is_dataclass(kind):
            keys.update(_keys_of(kind, path))
    return keys


def _pattern(path: Iterable[str]) -> tuple[str, ...]:
    """Return a path with `_ANY` for free names, as the known keys have it."""
    found: tuple[str, ...] = ()
    for part in path:
        free = (*found, part) not in _known_keys() and (*found, _ANY) in _known_keys()
        found = (*found, _ANY if free else part)
    return found


def keys() -> list[str]:
    """Return every key for --set, such as training.epochs; without the Kubeflow steps' own."""
    found = []
    for path, kind in _known_keys().items():
        if dataclasses.is_dataclass(kind) or typing.get_origin(kind) is dict or path[-1] == _ANY:
            continue
        if _ANY not in path:
            found.append(show_key(path))
        elif path[0] == "models":
            found += [
                show_key(name if part == _ANY else part for part in path) for name in NETWORKS
            ]
    return found


def choices(key: str) -> list[str]:
    """Return the values of a key as --set takes them, if it has a closed list; otherwise []."""
    return list(_closed(_known_keys().get(_pattern(key.split(".")))))


def _closed(kind: Any) -> Iterator[str]:
    origin = typing.get_origin(kind)
    if origin is typing.Literal:
        yield from map(str, typing.get_args(kind))
    elif kind is bool:
        yield from ("true", "false")
    elif origin in _UNIONS:
        for inner in typing.get_args(kind):
            yield from _closed(inner)
    elif origin is typing.Annotated:
        for bound in typing.get_args(kind)[1:]:
            if isinstance(bound, OneOf):
                yield from bound.table


def without_alternatives(path: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Return the path of a value without pydantic's names for the alternatives of its type.

    For a value that may be "all" or a number, it reports one error for each.
    """
    for end in range(1, len(path)):
        kind = _known_keys().get(_pattern(part for part in path[:end] if isinstance(part, str)))
        if typing.get_origin(kind) in _UNIONS:
            return (*path[:end], *(part for part in path[end:] if isinstance(part, int)))
    return path


def allowed(path: tuple[str | int, ...]) -> str:
    """Return the allowed values of a key, e.g. `a whole number from 1 to 10000`."""
    keys = _pattern(part for part in path if isinstance(part, str))
    kind = _known_keys().get(keys)
    if len(keys) < len(path) and typing.get_origin(kind) is tuple:
        kind = typing.get_args(kind)[0]
    return describe(kind)


def replaced(path: tuple[str, ...], value: Any) -> str:
    """Return what replaces a value of an earlier version, as the end of its message, or ""."""
    instead = _REPLACED.get((path, value)) if isinstance(value, str) else None
    return f"; write {instead}" if instead else ""


def table_hint(path: tuple[str, ...], source: str) -> str:
    """Return what the table of a network means, as the end of a message; "" for other keys.

    Args:
      path: the key whose value should be a table.
      source: the configuration's file.
    """
    if path[:1] != ("models",) or len(path) > 2:
        return ""
    return (
        "; each table [models.NAME] is a network to train, and to leave networks out, remove "
        f"their tables from a copy of {source}"
    )


def describe(kind: Any) -> str:
    """Return a type annotation in words, e.g. `a whole number from 1 to 10000`."""
    origin = typing.get_origin(kind)
    if origin in _UNIONS:
        inner = [arg for arg in typing.get_args(kind) if arg is not type(None)]
        return " or ".join(describe(arg) for arg in inner)
    if origin is typing.Literal:
        return _choices(typing.get_args(kind))
    if origin is tuple:
        return f"a list, each item {describe(typing.get_args(kind)[0])}"
    if origin is typing.Annotated:
        base, *bounds = typing.get_args(kind)
        for bound in bounds:
            if isinstance(bound, OneOf):
                return _choices(bound.table)
        return describe(base) + describe_bounds(bounds)
    if dataclasses.is_dataclass(kind) or origin is dict:
        return "a table"
    return _KINDS.get(kind, str(kind))


def _choices(values: Iterable[Any]) -> str:
    shown = [show_value(value) for value in values]
    return ("one of " if len(shown) > 1 else "") + ", ".join(shown)


def describe_bounds(bounds: Iterable[Any]) -> str:
    """Return the bounds of a number in words, to put after its type, e.g. ` from 1 to 10000`."""
    low = high = ""
    inclusive: list[Any] = []
    for bound in bounds:
        if isinstance(bound, annotated_types.Ge):
            low = f"at least {bound.ge}"
            inclusive.append(bound.ge)
        elif isinstance(bound, annotated_types.Gt):
            low = f"above {bound.gt}"
        elif isinstance(bound, annotated_types.Le):
            high = f"at most {bound.le}"
            inclusive.append(bound.le)
        elif isinstance(bound, annotated_types.Lt):
            high = f"below {bound.lt}"
    if len(inclusive) == 2:
        return f" from {inclusive[0]} to {inclusive[1]}"
    limits = " and ".join(text for text in (low, high) if text)
    return f" {limits}" if limits else ""


def unknown_key(path: tuple[str, ...], value: Any) -> str:
    """Return the message on an unknown key: the nearest known key, the keys of its table, or both.

    The names of all tables help only where no key or table is near.
    """
    parents, name = list(path[:-1]), path[-1]
    if parents == ["training", "augmentation"] and REFUSED_AUGMENTATION.search(name):
        return f"not offered: {REFUSED_AUGMENTATION_REASON}"
    table = _pattern(parents)
    # Suggestions stay within the network or step that the user wrote.
    known = {
        tuple(
            (parents[i] if table[: i + 1] == at[: i + 1] else _FREE_NAMES[at[0]])
            if part == _ANY
            else part
            for i, part in enumerate(at)
        ): at
        for at in _known_keys()
        if at[-1] != _ANY
    }
    siblings = [key for key, at in known.items() if at[:-1] == table]
    is_table = isinstance(value, Mapping)
    what = "table" if is_table else "key"
    # A table is never a misspelt key of another table.
    elsewhere = [] if is_table or table == _STEPS else [key for key in known if len(key) > 1]
    near = _nearest(name, siblings, elsewhere)
    hint = f"; did you mean {near}?" if near else ""
    if is_table and table == _STEPS:
        quoted = show_key([*parents[:-1], f"{parents[-1]}.{name}"])
        hint = f"; quote a node's name that contains a dot: {quoted}"
    if near and not parents:
        return f"unknown {what}{hint}"
    names = ", ".join(key[-1] for key in siblings)
    where = f"[{show_key(parents)}] has" if parents else "there are"
    return f"unknown {what}{hint} ({where}: {names})"


def _nearest(name: str, siblings: list[tuple[str, ...]], elsewhere: list[tuple[str, ...]]) -> str:
    """Return the known key that `name` most likely means, or "".

    An identical key of another table is more likely than a similar one of this table, and one of
    all networks than one of a single network.
    """
    exact = [key for key in elsewhere if key[-1] == name]
    if exact:
        shared_first = sorted(exact, key=lambda key: key[0] in _FREE_NAMES)
        return show_key(shared_first[0])
    for keys in (siblings, elsewhere):
        by_name = {key[-1]: key for key in reversed(keys)}
        near = difflib.get_close_matches(name.replace("-", "_"), by_name, n=1)
        if near:
            return show_key(by_name[near[0]])
    return ""
