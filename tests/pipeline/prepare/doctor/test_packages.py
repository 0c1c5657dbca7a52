"""Tests of the check of installed packages, on made-up environments and on this one."""

from __future__ import annotations

import importlib.metadata
import pathlib
import re
from typing import Any

import pytest

from pipeline.prepare.doctor import installing, packages
from pipeline.prepare.finding import OK, PROBLEM, UNKNOWN, WARNING
from tests.support import ROOT

LOCK = """\
left-pad==1.0 \\
    --hash=sha256:00
right.pad==2.0 ; python_version < '4' \\
    --hash=sha256:00
only-old==9.0 ; python_version < '3' \\
    --hash=sha256:00
extra-thing==3.0 \\
    --hash=sha256:00
"""


class Installed(importlib.metadata.Distribution):
    """Made-up installed package."""

    def __init__(self, version: str, *requires: str) -> None:
        self._version, self._requires = version, requires

    @property
    def version(self) -> str:
        return self._version

    @property
    def requires(self) -> list[str]:
        return list(self._requires)

    def read_text(self, filename: Any) -> None:
        return None

    def locate_file(self, path: Any) -> Any:
        return path


def _environment(**changes: Any) -> dict[str, Any]:
    found = {
        "genreflow": Installed(
            "1", "left_pad>=1,<2", "old; python_version < '3'", "extra-thing; extra == 'more'"
        ),
        "left-pad": Installed("1.0", "Right.Pad[fast]"),
        "right-pad": Installed("2.0", "fast-thing; extra == 'fast'"),
        "fast-thing": Installed("1", "genreflow"),  # a circle
        **{name.replace("_", "-"): value for name, value in changes.items()},
    }
    return {name: value for name, value in found.items() if value is not None}


@pytest.fixture
def lock(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "runtime.lock"
    path.write_text(LOCK)
    return path


def test_tested_versions_are_fine_and_extras_may_be_missing(lock: pathlib.Path) -> None:
    (found,) = packages.check_packages(_environment(), lock)
    assert found.outcome == OK
    assert found.text.startswith("2 packages, all as tested")
    assert found.text.endswith("not installed, as optional: extra-thing")


def test_a_missing_package_is_a_problem_wherever_it_is_needed(lock: pathlib.Path) -> None:
    found, _ = packages.check_packages(_environment(fast_thing=None), lock)
    assert (found.outcome, found.text) == (
        PROBLEM,
        "1 packages are missing: fast-thing (for right-pad)",
    )
    assert found.command == installing.install_command(["fast-thing"])


def test_a_version_outside_the_project_s_own_range_is_a_problem(lock: pathlib.Path) -> None:
    found, compared = packages.check_packages(_environment(left_pad=Installed("2.5")), lock)
    assert found.outcome == PROBLEM
    assert "left-pad 2.5 (needs <2,>=1)" in found.text
    assert found.command.endswith(" 'left_pad<2,>=1'")
    assert compared.outcome == WARNING


def test_another_version_than_tested_is_a_warning_with_the_line_that_mends_it(
    lock: pathlib.Path,
) -> None:
    (found,) = packages.check_packages(_environment(right_pad=Installed("2.1")), lock)
    assert found.outcome == WARNING
    assert found.text == "1 of 2 packages are not as tested: right-pad 2.1 (tested: 2.0)"
    assert found.command == installing.install_command(["right-pad==2.0"])


def test_without_a_lock_or_the_project_it_says_what_was_not_checked(
    lock: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (found,) = packages.check_packages(_environment(genreflow=None), lock)
    assert found.outcome == UNKNOWN
    monkeypatch.setattr(packages, "_REPOSITORY", lock.parent)
    assert packages.find_lock() is None
    (found,) = packages.check_packages(_environment())
    assert (found.outcome, "has no lock" in found.text) == (UNKNOWN, True)


def test_this_environment_is_complete_and_the_lock_is_read_whole() -> None:
    path = packages.find_lock()
    assert path == ROOT / "requirements" / packages.generation() / "runtime.lock"
    lines = re.findall(r"^[\w.-]+==", path.read_text("utf-8"), re.MULTILINE)
    tested = packages.read_lock(path.read_text("utf-8"))
    assert 200 < len(tested) <= len(lines)
    assert [one for one in packages.check_packages() if one.outcome == PROBLEM] == []
    needed = {need.name for need in packages.closure(packages.installed_packages())}
    assert {"tfx", "tensorflow", "numpy", "typer", "protobuf"} <= needed
    assert not {"pytest", "av", "mutagen"} & needed


@pytest.mark.parametrize(
    ("version", "outcome"),
    [("3.10.1", OK), ("3.13.9", OK), ("3.9.2", PROBLEM), ("3.14.0", PROBLEM)],
)
def test_python_is_checked_against_the_project_s_range(
    version: str, outcome: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages.platform, "python_version", lambda: version)
    assert packages.check_python().outcome == outcome


@pytest.mark.parametrize(("with_pip", "with_uv"), [(True, True), (True, False), (False, True)])
def test_packages_are_installed_by_pip_or_by_uv(
    with_pip: bool, with_uv: bool, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    if with_uv:
        (tmp_path / "uv").write_text("")
    monkeypatch.setattr(installing.sys, "executable", str(python))
    monkeypatch.setattr(installing.importlib.util, "find_spec", lambda name: with_pip or None)
    monkeypatch.setattr(installing.shutil, "which", lambda name: None)
    command = installing.install_command(["a==1"], again=True)
    if with_pip:
        assert command == f"{python} -m pip install --force-reinstall a==1"
    else:
        assert command == f"{tmp_path}/uv pip install --python {python} --reinstall a==1"
