"""Loading of configuration files: read, override, validate, and report all problems at once."""

from __future__ import annotations

import copy
import dataclasses
import datetime
import difflib
import importlib.resources
import json
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from components.audio.front_ends.registry import FRONT_ENDS
from components.common.escape import printable
from components.storage.uri import checked_place, is_remote
from pipeline.config.beam import BeamSettings
from pipeline.config.messages import (
    ConfigError,
    allowed,
    replaced,
    show_key,
    show_value,
    table_hint,
    unknown_key,
    without_alternatives,
)
from pipeline.config.overrides import Override, apply_overrides, parse_key, parse_override
from pipeline.config.schema import Config, network_problems

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


def shipped_config(name: str) -> pathlib.Path:
    """Return the path of a configuration shipped with Genreflow, e.g. `demo` for demo.toml.

    Raises:
      ConfigError: no shipped configuration has this name.
    """
    folder = pathlib.Path(str(importlib.resources.files("configs")))
    path = folder / f"{name}.toml"
    if not path.is_file():
        names = shipped_names()
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]}? There are" if near else "choose one of"
        raise ConfigError(f"no shipped configuration {name!r}; {hint} {', '.join(names)}")
    return path


def shipped_names() -> list[str]:
    """Return the names of the configurations shipped with Genreflow."""
    folder = pathlib.Path(str(importlib.resources.files("configs")))
    return sorted(path.stem for path in folder.glob("*.toml"))


def load(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Config:
    """Load a TOML file, apply `--set` overrides in order, and validate the result.

    Args:
      path: the TOML file.
      overrides: KEY=VALUE strings. An override in a [models.<network>] table that the
        file lacks adds that network.

    Raises:
      ConfigError: the file cannot be read, or it or an override is wrong; one line per problem.
    """
    source = printable(os.fspath(path))
    values = _read(path, source)
    parsed = [parse_override(text) for text in overrides]
    apply_overrides(values, parsed)
    return _validate(values, source, parsed)


def from_values(
    values: dict[str, Any], changes: Mapping[str, Any], label: str = "overrides"
) -> Config:
    """Return a configuration from the values of `Config.to_json`, with changes.

    Args:
      values: the tables; not modified.
      changes: values by key, such as "training.epochs", as for --set.
      label: name of the changes in messages.

    Raises:
      ConfigError: a value is wrong; one line per problem.
    """
    parsed = [Override(label, parse_key(key), value) for key, value in changes.items()]
    problems = [
        f"{label}: {printable(key)!r} is not a key such as training.epochs"
        for key, override in zip(changes, parsed, strict=True)
        if not override.path
    ]
    if problems:
        raise ConfigError("\n".join(problems))
    merged = copy.deepcopy(values)
    _leave_front_end(merged, changes)
    apply_overrides(merged, parsed)
    return _validate(merged, "the configuration", parsed)


def _read(path: str | os.PathLike[str], source: str) -> dict[str, Any]:
    import tomli

    try:
        text = pathlib.Path(path).read_bytes().decode("utf-8")
    except FileNotFoundError:
        folder, names = printable(str(shipped_config("demo").parent)), ", ".join(shipped_names())
        raise ConfigError(
            f"{source}: no such file; the shipped configurations ({names}) are in {folder}"
        ) from None
    except IsADirectoryError as error:
        raise ConfigError(f"{source}: this is a folder; name a TOML file") from error
    except OSError as error:
        raise ConfigError(f"{source}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{source}: not a UTF-8 text file (byte {error.start})") from None
    try:
        return tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        raise ConfigError(f"{source}: not valid TOML: {error}") from None


def _leave_front_end(values: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """Remove what the front end of complete values decides, if the changes name another one."""
    audio = values.get("audio")
    if not isinstance(audio, dict):
        return  # of another version, as the check of all values will say
    before = audio.get("front_end")
    if changes.get("audio.front_end", before) != before:
        for name in {name for front_end in FRONT_ENDS.values() for name in front_end.fixed}:
            audio.pop(name, None)


def _fill_front_end(values: dict[str, Any]) -> None:
    """Fill in the audio parameters that the front end fixes and nothing sets."""
    audio = values.get("audio")
    name = audio.get("front_end") if isinstance(audio, dict) else None
    if isinstance(audio, dict) and isinstance(name, str) and name in FRONT_ENDS:
        values["audio"] = {**FRONT_ENDS[name].fixed, **audio}


def _validate(values: dict[str, Any], source: str, overrides: list[Override]) -> Config:
    import pydantic

    values.setdefault("models", {})
    _fill_front_end(values)
    # From JSON, a strict check accepts a list for a tuple and a table for a dataclass, but no
    # "3" for a number.
    text = json.dumps(values, default=_not_json)
    try:
        return pydantic.TypeAdapter(Config).validate_json(text)
    except pydantic.ValidationError as failure:
        found = failure.errors(include_url=False)
    problems: list[str] = []
    for error in found:
        problems.extend(_problems(error, values, source, overrides))
    # Config itself checks the networks' names, but only if all tables are valid.
    models = values["models"]
    if isinstance(models, dict) and all(error["loc"] for error in found):
        tables = [name for name, value in models.items() if isinstance(value, dict)]
        for problem in network_problems(tables or models):
            key = problem.split(":", 1)[0]
            where = _origin(tuple(key.split(".", 1)), values, source, overrides)
            problems.append(f"{where}: {printable(problem)}")
    raise ConfigError("\n".join(dict.fromkeys(problems)))


def _not_json(value: Any) -> Any:
    """Return a TOML date or time as a value that no key accepts."""
    if isinstance(value, (datetime.date, datetime.time)):
        return [[value.isoformat()]]
    raise TypeError(type(value))


def _problems(
    error: ErrorDetails, values: dict[str, Any], source: str, overrides: list[Override]
) -> Iterator[str]:
    """Yield one of pydantic's errors as lines for the user."""
    path = without_alternatives(error["loc"])
    kind = error["type"]
    where = _origin(path, values, source, overrides)
    key = show_key(path)
    if kind == "value_error":  # a dataclass's own check
        for line in str(error["ctx"]["error"]).splitlines():
            if key:
                yield f"{where}: [{key}] {printable(line)}"
            else:  # Config's own check: the line names the keys that contradict each other
                named = [str(item) for item in overrides if _concerns(item, line)]
                yield f"{', '.join(dict.fromkeys([source, *named]))}: {printable(line)}"
        return
    value = _value_at(values, path)
    names = tuple(part for part in path if isinstance(part, str))
    shown = "" if isinstance(value, dict) else f" = {show_value(value)}"
    if kind == "unexpected_keyword_argument":
        yield f"{where}: {key}{shown}: {unknown_key(names, value)}"
        return
    line = f"{where}: {key}{shown or ' is a table'}: must be {allowed(path)}"
    line += replaced(names, value)
    if not isinstance(value, dict):
        line += table_hint(names, source)
    by_text = any(override.typed and override.path == names for override in overrides)
    if by_text and kind == "string_type" and not isinstance(value, (dict, list)):
        line += f"; write --set '{key}=\"{printable(str(value))}\"'"
    yield line


def _concerns(override: Override, line: str) -> bool:
    """Return whether a problem's line names the override's key, or a table that contains it."""
    key = show_key(override.path)
    return key in line or key.startswith(f"{line.split(':', 1)[0]}.")


def _origin(
    path: tuple[str | int, ...], values: Any, source: str, overrides: list[Override]
) -> str:
    """Return the source of the value at `path`: overrides, the file, or for a table both."""
    names = tuple(part for part in path if isinstance(part, str))
    for override in reversed(overrides):
        if names[: len(override.path)] == override.path:
            return str(override)
    within = [item for item in overrides if item.path[: len(names)] == names]
    only_set = within and _only_set(_value_at(values, path), names, within)
    return ", ".join(dict.fromkeys([*([] if only_set else [source]), *map(str, within)]))


def _only_set(value: Any, path: tuple[str, ...], overrides: list[Override]) -> bool:
    """Return whether overrides set everything in a value, so that the file has nothing of it."""
    if any(path == override.path for override in overrides):
        return True
    return isinstance(value, dict) and all(
        _only_set(inner, (*path, name), overrides) for name, inner in value.items()
    )


def _value_at(values: Any, path: tuple[str | int, ...]) -> Any:
    """Return the value at a path, or a date if the path leads into one."""
    for part in path:
        if isinstance(values, dict) or (isinstance(values, list) and isinstance(part, int)):
            values = values[part]  # type: ignore[index]  # keys of dicts are strings
    return values


def load_config(name: str, overrides: Sequence[str] = ()) -> Config:
    """Load a configuration by its path, or by the name of a shipped one.

    Args:
      name: such as "mine.toml" or "demo".
      overrides: KEY=VALUE strings, such as "training.epochs=3".

    Raises:
      ConfigError: there is no such file, or it or an override is wrong; one line per problem.
    """
    return load(_path_of(name), overrides)


def load_beam(name: str, overrides: Sequence[str] = ()) -> BeamSettings:
    """Load the table [beam] of a configuration, which may have no other one.

    Args:
      name, overrides: as of `load_config`.

    Raises:
      ConfigError: there is no such file, or the table or an override is wrong; one line per
        problem.
    """
    path = _path_of(name)
    source = printable(os.fspath(path))
    # Any network does: a configuration needs one.
    values = {"beam": _read(path, source).get("beam", {}), "models": {"cnn_small": {}}}
    parsed = [parse_override(text) for text in overrides]
    apply_overrides(values, parsed)
    return _validate(values, source, parsed).beam


def _path_of(name: str) -> pathlib.Path:
    """Return the path of a configuration that is named by its path or as a shipped one."""
    path = pathlib.Path(name)
    if not path.suffix and not path.is_file() and path.name == name:
        return shipped_config(name)
    return path


def with_data_dir(config: Config, data_dir: str) -> Config:
    """Return the configuration with an absolute `dataset.data_dir`.

    Args:
      config: the configuration.
      data_dir: replaces its `dataset.data_dir`, a path or an s3:// URI; "" keeps it.

    Raises:
      UriError: the URI is invalid, or has another scheme.
    """
    chosen = checked_place(data_dir or config.dataset.data_dir, "the data folder")
    if chosen and not is_remote(chosen):
        chosen = str(pathlib.Path(chosen).expanduser().absolute())
    return dataclasses.replace(config, dataset=dataclasses.replace(config.dataset, data_dir=chosen))
