"""Tests of the record that is stored with a version."""

from __future__ import annotations

import json

import pytest

from components.artifacts import files
from components.common.errors import DataError
from components.common.model_contract import VERSION_RECORD
from components.versions.record import Rollback, read_record, utc
from tests.components.versions import made


def test_what_is_written_is_read_again(models: str) -> None:
    copied = made.record(8, rollback=Rollback(5, 7, "2026-12-01T00:00:00Z"))
    for number, record in ((7, made.record(7)), (8, copied)):
        files.write_text(f"{models}/{number}/{VERSION_RECORD}", record.to_text())
        assert read_record(f"{models}/{number}") == record
    assert (made.record(7).origin, copied.origin) == (7, 5)


def test_a_version_of_another_program_has_no_record(models: str) -> None:
    made.version(models, 3, recorded=False)
    assert read_record(f"{models}/3") is None
    assert read_record(f"{models}/4") is None


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", "damaged"),
        ("[" * 100_000, "damaged"),
        ("[]", "top level"),
        ('{"version": "x", "pushed_at": ""}', "version"),
        (json.dumps({"schema_version": 9, "version": 3, "pushed_at": ""}), "schema_version"),
        ('"' + "x" * 2**20 + '"', "larger than"),
    ],
)
def test_a_damaged_record_is_an_error_that_names_the_file(
    tmp_path: object, content: str, problem: str
) -> None:
    files.write_text(f"{tmp_path}/3/{VERSION_RECORD}", content)
    with pytest.raises(DataError, match=problem) as caught:
        read_record(f"{tmp_path}/3")
    assert str(caught.value).startswith(f"{tmp_path}/3/{VERSION_RECORD}: ")
    assert len(str(caught.value)) < 600


def test_times_are_in_utc() -> None:
    assert utc(1_796_067_900.9) == "2026-11-30T19:45:00Z"
