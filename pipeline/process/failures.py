"""Causes of a failed run: the error in a chain that a user can fix."""

from __future__ import annotations

from components.common.errors import GenreflowError


def find_user_error(error: BaseException | None) -> GenreflowError | None:
    """Return the first error in a chain that a user can fix; None if it looks like a bug."""
    while error is not None:
        if isinstance(error, GenreflowError):
            return error
        error = error.__cause__ or error.__context__
    return None


def one_line(error: BaseException) -> str:
    """Return the type of the innermost cause, and the first line of its message."""
    while error.__cause__ is not None:
        error = error.__cause__
    first = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {first[:300]}"
