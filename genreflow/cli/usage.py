"""Messages on wrong command lines: which word is wrong, what fits, what to type. Stays instant."""

from __future__ import annotations

import contextlib
import difflib
import enum
import math
import re
import shlex
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import typer

from components.common.escape import printable

# Options that a command has not, and others of its own that do what is meant, by the first words of
# the command line.
_MEANT = {
    ("genreflow models", "--model-dir"): "--work-dir (a run's folder) or --destination (where runs "
    "push, storage.push_destination)",
}
_UNIONS = (typing.Union, types.UnionType)


@contextlib.contextmanager
def explained(context: Any) -> Iterator[None]:
    """Give the errors of parsing their context, and refuse values that parse but mislead.

    Args:
      context: typer's context of the command, whose words are parsed inside.

    Raises:
      typer.TyperException: a number is infinite or not a number, or a place is empty.
    """
    try:
        yield
    except typer.TyperException as error:
        if getattr(error, "ctx", context) is None:
            error.ctx = context  # type: ignore[attr-defined]
        raise
    for parameter in context.command.get_params(context):
        value = context.params.get(parameter.name)
        # Often an unset variable of a script: an empty --api-key-file would serve without a key.
        words = value if isinstance(value, (list, tuple)) else [value]
        if "" in words and _names_place(parameter):
            source = context.get_parameter_source(parameter.name)
            if source is not None and source.name == "COMMANDLINE":
                name = _name(parameter).removesuffix("...")
                typed = (
                    "name one" if _is_argument(parameter) else f"write {name} {parameter.metavar}"
                )
                optional = "" if parameter.required else ", or leave it out"
                context.fail(f"{name} is empty; {typed}{optional}")
        if isinstance(value, float) and not math.isfinite(value):
            fitting = _fitting(parameter).replace("a number", "a finite number")
            context.fail(f"{_name(parameter)} {value}: must be {fitting}")


def swapped(context: Any, words: Mapping[str, Any], error: typer.BadParameter) -> str:
    """Return what to type where a number and the word beside it are swapped; "" if they are not.

    Args:
      context: typer's context of the command.
      words: what was typed for each parameter, by its name.
      error: the number is none.
    """
    wrong: Any = error.param
    arguments = [one for one in context.command.get_params(context) if _is_argument(one)]
    if wrong not in arguments or _kind(wrong) is not int:
        return ""
    for other in arguments:
        word = words.get(other.name)
        if other is not wrong and _kind(other) is str and isinstance(word, str) and word.isdigit():
            typed = {**words, wrong.name: word, other.name: words[wrong.name]}
            line = [context.command_path, *(_shown(typed[one.name]) for one in arguments)]
            names = " and ".join(one.metavar or one.name for one in arguments)
            return f"{names} look swapped; write {' '.join(line)}"
    return ""


def wrong_usage(error: typer.TyperException) -> str:
    """Return the message on a command line that typer refuses, and what to type instead."""
    context = getattr(error, "ctx", None)
    option = getattr(error, "option_name", None)
    where = f"; see {context.command_path} --help" if context is not None else ""
    if hasattr(error, "possibilities") and option:
        known = [name for name in _options(context) if name.startswith("--")]
        hint = _meant(context, option) or suggestion(option, known) or where
        return f"there is no option {option!r}{hint}"
    if option and (parameter := _named(context, option)) is not None:
        if "requires" in error.format_message():
            return f"{option} needs a value: {option} {parameter.metavar or 'VALUE'}{where}"
        return f"{option} takes no value{where}"
    cause: Any = error.__cause__  # pydantic's
    parameter = getattr(error, "param", None)
    if parameter is not None and hasattr(cause, "errors"):
        value = cause.errors()[0]["input"]
        return f"{_name(parameter)} {_shown(value)}: must be {_fitting(parameter)}{where}"
    if parameter is not None and type(error) is not typer.BadParameter:
        what = "argument" if _is_argument(parameter) else "option"
        value = "" if _is_argument(parameter) else f" {parameter.metavar}"
        return f"missing {what} {_name(parameter)}{value}{where}"
    text = error.format_message().rstrip(".")
    if text[1:2].islower():
        text = text[:1].lower() + text[1:]
    return text if "did you mean " in text or "look swapped" in text else text + where


def suggestion(word: str, known: Sequence[str]) -> str:
    """Return the known word that is near to a wrong one, as the end of a message, or ""."""
    near = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _meant(context: Any, option: str) -> str:
    """Return which options of the command do what an unknown one is to do; "" if none is known."""
    path = context.command_path if context is not None else ""
    for (start, name), instead in _MEANT.items():
        if option == name and f"{path} ".startswith(f"{start} "):
            return f"; name the versions by {instead}"
    return ""


def _options(context: Any) -> Iterator[str]:
    for parameter in context.command.get_params(context) if context is not None else ():
        yield from (*parameter.opts, *parameter.secondary_opts)


def _named(context: Any, option: str) -> Any:
    """Return the parameter of an option; None if the command has none of that name."""
    for parameter in context.command.get_params(context) if context is not None else ():
        if option in (*parameter.opts, *parameter.secondary_opts):
            return parameter
    return None


def _is_argument(parameter: Any) -> bool:
    return bool(parameter.param_type_name == "argument")


def _name(parameter: Any) -> str:
    """Return a parameter's name as a user knows it: --top, VERSION."""
    if _is_argument(parameter):
        return str(parameter.metavar or parameter.name.upper())
    return max(parameter.opts, key=len)


def _names_place(parameter: Any) -> bool:
    """Return whether a parameter is a file, folder or host, whose name cannot be empty."""
    return re.search("FILE|FOLDER|HOST", parameter.metavar or "") is not None


def _kind(parameter: Any) -> Any:
    """Return the type of a parameter's value, without None."""
    kind = parameter.type_descriptor.annotation
    if typing.get_origin(kind) in _UNIONS:
        return next(one for one in typing.get_args(kind) if one is not type(None))
    return kind


def _fitting(parameter: Any) -> str:
    """Return the values of a parameter in the words of the configuration's messages."""
    from annotated_types import Ge, Le

    from pipeline.config.messages import describe, describe_bounds

    kind = _kind(parameter)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return describe(Literal[tuple(one.value for one in kind)])
    bounds: list[Ge | Le] = []
    if parameter.min is not None:
        bounds.append(Ge(_short(parameter.min)))
    if parameter.max is not None:
        bounds.append(Le(_short(parameter.max)))
    return describe(kind) + describe_bounds(bounds)


def _short(number: float) -> float:
    """Return a number that is written without a useless ".0"."""
    return int(number) if number == int(number) else number


def _shown(value: Any) -> str:
    """Return a value as it would be typed."""
    return shlex.quote(printable(str(value)))
