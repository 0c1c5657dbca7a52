"""Tests of the cause of a failed run: a user's error, a store's error, or a bug."""

from __future__ import annotations

import botocore.exceptions
import pytest

from components.common.errors import DataError
from components.storage.errors import StorageError
from pipeline.process import failures
from tests.support import s3_server


class OpError(Exception):
    """Stand-in for TensorFlow's class, which takes seconds to import."""


OpError.__module__ = "tensorflow.python.framework.errors_impl"

CLIENT = botocore.exceptions.ClientError(
    {"Error": {"Code": "AccessDenied", "Message": "Access Denied"}}, "PutObject"
)


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


@pytest.mark.parametrize(
    ("cause", "said"),
    [
        (CLIENT, "AccessDenied"),
        (OpError("AccessDenied: Access Denied; s3://bucket/x"), "AccessDenied: Access Denied"),
        (RuntimeError("Traceback ...\nS3ClientError: (Forbidden, 403)"), "(Forbidden, 403)"),
        (RuntimeError("a\nBeamIOError: Match failed with s3://b/x\n"), "BeamIOError: Match"),
    ],
)
def test_what_a_store_did_to_a_library_is_told_in_words(cause: BaseException, said: str) -> None:
    told = failures.find_user_error(_behind(cause))
    assert isinstance(told, StorageError)
    assert str(told).startswith("the object store failed: ")
    assert said in str(told)
    assert "\n" not in str(told)


def test_secrets_in_such_an_error_are_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3_server.VARIABLES.items():
        monkeypatch.setenv(name, value)
    told = failures.find_user_error(OpError(f"s3://b/x {s3_server.TOKEN} {s3_server.SECRET}"))
    assert s3_server.TOKEN not in str(told)
    assert s3_server.SECRET not in str(told)


@pytest.mark.parametrize("cause", [OpError("out of memory"), KeyError("x"), OSError("s3://b")])
def test_a_defect_stays_one(cause: BaseException) -> None:
    assert failures.find_user_error(_behind(cause)) is None
    assert failures.one_line(_behind(cause)) == f"{type(cause).__name__}: {cause}"


def test_a_users_error_comes_before_what_lies_behind_it() -> None:
    error = DataError("in words")
    error.__cause__ = CLIENT
    assert failures.find_user_error(_behind(error)) is error
