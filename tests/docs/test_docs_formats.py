"""The tables of docs/reference/formats.md are what benchmarks/formats.py makes."""

from __future__ import annotations

import re

import pytest

from benchmarks import formats
from components.audio.decoding.formats import FORMATS


@pytest.mark.parametrize("name", formats.TABLES)
def test_a_table_is_what_the_benchmark_makes(name: str) -> None:
    page = formats.PAGE.read_text(encoding="utf-8")
    made = formats.replaced(page, name, formats.TABLES[name]())
    assert made == page, "run python -m benchmarks.formats --write"


def test_every_format_is_in_one_table() -> None:
    page = formats.PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|]+) \| `", page, re.MULTILINE)
    assert sorted(rows) == sorted(one.name for one in FORMATS)
