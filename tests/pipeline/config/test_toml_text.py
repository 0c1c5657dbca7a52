"""Tests of values as TOML, read back by tomli."""

from __future__ import annotations

from typing import Any

import pytest
import tomli
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.toml_text import toml_string, toml_value

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = TEXT | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)


@given(SCALARS | st.lists(SCALARS) | st.lists(st.lists(TEXT)))
def test_a_value_is_read_back_as_it_was(value: Any) -> None:
    text = f"x = {toml_value(value)}"
    assert "\n" not in text
    found = tomli.loads(text)["x"]
    assert found == value
    assert type(found) is type(value)


@given(TEXT)
def test_nothing_in_the_file_is_unprintable(text: str) -> None:
    assert toml_string(text).isprintable()


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ('a"b\\c', r'"a\"b\\c"'),
        ("a\nb\x7f\x00", r'"a\nb\u007f\u0000"'),
        ("\u202egnp", r'"\u202egnp"'),
        ("\U000e0001", r'"\U000e0001"'),
        ("Björk 音楽", '"Björk 音楽"'),
    ],
)
def test_marks_that_deceive_are_escaped(text: str, written: str) -> None:
    assert toml_string(text) == written


@pytest.mark.parametrize("value", [None, {}, {"a": 1}, b"x"])
def test_what_is_no_value_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="no value of a setting"):
        toml_value(value)


def test_bytes_of_a_name_that_is_no_text_are_refused() -> None:
    with pytest.raises(ValueError, match="no character that TOML can write"):
        toml_string("a\udcff")
