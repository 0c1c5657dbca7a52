"""Durations in words, for sentences."""

from __future__ import annotations


def duration_text(seconds: float) -> str:
    """Return a duration in a unit that suits it: "45 seconds", "3.1 minutes", "2.5 hours".

    Each unit begins at two of it. What takes less than a second counts as one.
    """
    whole = max(1, round(seconds))
    if whole < 120:
        return f"{whole} second{'s' if whole > 1 else ''}"
    for unit, size in (("minutes", 60), ("hours", 3600)):
        number = whole / size
        shown = round(number, 1 if number < 10 else 0)
        if shown < 120 or unit == "hours":
            break
    return f"{shown:g} {unit}"
