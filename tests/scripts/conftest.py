"""Fixtures of the setup script's tests."""

from __future__ import annotations

import pathlib
from collections.abc import Callable

import pytest

from tests.support.setup_machine import MakeMachine, SetupMachine


@pytest.fixture
def make_machine(
    tmp_path: pathlib.Path, requires_program: Callable[[str, str], str]
) -> MakeMachine:
    requires_program("flock", "util-linux")
    return lambda **choices: SetupMachine(tmp_path, **choices)
