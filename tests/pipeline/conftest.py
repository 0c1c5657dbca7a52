"""Fixtures of the configuration's tests."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Sequence

import pytest

from pipeline.config.load import load
from pipeline.config.messages import ConfigError

Write = Callable[[str], pathlib.Path]
Complain = Callable[..., list[str]]


@pytest.fixture
def write(tmp_path: pathlib.Path) -> Write:
    def _write(text: str) -> pathlib.Path:
        path = tmp_path / "c.toml"
        path.write_text(text, "utf-8")
        return path

    return _write


@pytest.fixture
def complaints(write: Write) -> Complain:
    """Return the lines of the error for a configuration's text and overrides."""

    def _complaints(text: str, overrides: Sequence[str] = ()) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            load(write(text), overrides)
        return str(caught.value).splitlines()

    return _complaints
