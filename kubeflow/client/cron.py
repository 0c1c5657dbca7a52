"""Cron expressions as Kubeflow Pipelines reads them: six fields, the first one seconds.

Its scheduler uses version 1 of robfig/cron (https://pkg.go.dev/github.com/robfig/cron): seconds,
minutes, hours, day of the month, month, day of the week. It silently takes the first of five
fields for seconds too, so the usual five-field form is completed here.
"""

from __future__ import annotations

import re

from components.common.errors import UsageError

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
# Name, minimum, maximum, words that stand for numbers.
_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("second", 0, 59, {}),
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of the month", 1, 31, {}),
    ("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    ("day of the week", 0, 6, {name: number for number, name in enumerate(_DAYS)}),
)
_SHORTHANDS = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
_PART = re.compile(
    r"(?P<first>[0-9a-z]+|[*?])(-(?P<last>[0-9a-z]+))?(/(?P<step>[0-9]+))?", re.ASCII
)
_EXAMPLE = 'such as "0 0 3 * * *": every day at 03:00:00'


def six_fields(text: str) -> str:
    """Return a cron expression with six fields; five fields get 0 for the seconds.

    Raises:
      UsageError: Kubeflow would refuse the expression, or start a run every second.
    """
    if text.strip() in _SHORTHANDS:
        return text.strip()
    fields = text.split()
    if len(fields) == 5:
        fields = ["0", *fields]
    if len(fields) != 6:
        raise UsageError(
            f'--cron "{text}": six fields are needed (second minute hour day month weekday), '
            f"{_EXAMPLE}; or five, without seconds; or one of {', '.join(_SHORTHANDS)}"
        )
    for field, (name, minimum, maximum, words) in zip(fields, _FIELDS, strict=True):
        for part in field.split(","):
            _check(part, name, minimum, maximum, words, text)
    if not re.fullmatch(r"[0-9]+", fields[0]):
        raise UsageError(
            f'--cron "{text}": the first of six fields is the second, and this one would start '
            f"more than one run a minute; give one number there, {_EXAMPLE}"
        )
    return " ".join(fields)


def _check(
    part: str, name: str, minimum: int, maximum: int, words: dict[str, int], text: str
) -> None:
    """Raise UsageError if one part of a field, between commas, is invalid."""

    def wrong(why: str) -> UsageError:
        return UsageError(f'--cron "{text}": {name} "{part}": {why}, {_EXAMPLE}')

    match = _PART.fullmatch(part.lower())
    if not match:
        raise wrong("only numbers, names, *, -, / and commas are allowed")
    bounds = []
    for value in filter(None, (match["first"], match["last"])):
        if value in "*?":
            if match["last"]:
                raise wrong("a range needs a number before and after its -")
            continue
        number = words.get(value, int(value) if value.isdigit() else -1)
        if not minimum <= number <= maximum:
            raise wrong(f"must be from {minimum} to {maximum}")
        bounds.append(number)
    if bounds != sorted(bounds):
        raise wrong("the range ends before it begins")
    if match["step"] and int(match["step"]) == 0:
        raise wrong("the step must not be 0")
