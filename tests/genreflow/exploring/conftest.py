"""Fixtures of the tests of exploring."""

from __future__ import annotations

import pathlib

import pytest

from tests.genreflow.exploring.explored import write_explored


@pytest.fixture
def work(tmp_path: pathlib.Path) -> pathlib.Path:
    """Return the work folder of a finished run."""
    return write_explored(tmp_path)
