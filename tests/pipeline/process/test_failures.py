"""Tests of the cause of a failed run: a user's error or a bug."""

from __future__ import annotations

import pytest

from components.common.errors import DataError
from pipeline.process import failures


def _behind(cause: BaseException) -> BaseException:
    """Return a node's error that has the cause behind other errors."""
    try:
        try:
            raise cause
        except type(cause) as error:
            raise KeyError("between") from error
    except KeyError as error:
        outer = RuntimeError("node X failed")
        outer.__cause__ = error
        return outer


@pytest.mark.parametrize("cause", [MemoryError("x"), KeyError("x"), OSError("s3://b")])
def test_a_defect_stays_one(cause: BaseException) -> None:
    assert failures.find_user_error(_behind(cause)) is None
    assert failures.one_line(_behind(cause)) == f"{type(cause).__name__}: {cause}"


def test_a_users_error_comes_before_what_lies_behind_it() -> None:
    error = DataError("in words")
    error.__cause__ = OSError("behind it")
    assert failures.find_user_error(_behind(error)) is error
