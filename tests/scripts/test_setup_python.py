"""scripts/setup_env.sh: which Python and generation of TFX it chooses, and what it says then."""

from __future__ import annotations

import pathlib
import shutil
import subprocess
import sys
import time

import pytest

from tests.support import ROOT
from tests.support.setup_machine import MakeMachine, line


@pytest.mark.parametrize(
    ("glibc", "pythons", "wanted"),
    [
        ("2.41", ["3.13"], "Python 3.13 and TFX 1.21 (glibc 2.41)"),
        ("2.39", ["3.11", "3.12"], "Python 3.12 and TFX 1.21 (glibc 2.39)"),
        ("2.41", ["3.14", "3.10", "3.11"], "Python 3.11 and TFX 1.21 (glibc 2.41)"),
        (
            "2.41",
            ["3.14", "3.10"],
            "Python 3.10 and TFX 1.16 (glibc 2.41, but no Python for TFX 1.21 here)",
        ),
        (
            "2.36",
            ["3.13", "3.12", "3.11", "3.10"],
            "Python 3.10 and TFX 1.16 (glibc 2.36; TFX 1.21 needs 2.39)",
        ),
    ],
)
def test_the_newest_generation_that_fits_is_chosen(
    glibc: str, pythons: list[str], wanted: str, make_machine: MakeMachine
) -> None:
    machine = make_machine(glibc=glibc)
    for version in pythons:
        machine.python(version, f"python{version}")
    machine.uv()
    assert f"with {wanted};" in line(machine.setup())
    assert machine.stamp() == [wanted.split()[4], wanted.split()[1]]


def test_a_python_that_does_not_run_is_passed_over(make_machine: MakeMachine) -> None:
    """A pyenv shim is there for each version; the Pythons themselves are below PYENV_ROOT."""
    machine = make_machine()
    machine.uv()
    for version in ("3.13", "3.12", "3.11", "3.10"):
        machine.program(f"python{version}", 'echo "pyenv: command not found" >&2; exit 127')
    folder = machine.folder / "pyenv/versions/3.12.4/bin"
    folder.mkdir(parents=True)
    machine.python("3.12", "only").rename(folder / "python3.12")
    said = line(machine.setup(PYENV_ROOT=str(machine.folder / "pyenv")))
    assert "with Python 3.12 and TFX 1.21" in said


@pytest.mark.parametrize("by_name", [True, False])
def test_what_is_asked_for_comes_first(by_name: bool, make_machine: MakeMachine) -> None:
    machine = make_machine()
    machine.uv()
    machine.python("3.13")
    other = machine.python("3.10", "other" if by_name else "python3.10")
    if by_name:
        said = line(machine.setup(PYTHON=str(other)))
        assert f"with Python 3.10 and TFX 1.16 (PYTHON={other})" in said
    else:
        said = line(machine.setup(GENERATION="1.16"))
        assert "with Python 3.10 and TFX 1.16 (GENERATION=1.16)" in said


@pytest.mark.parametrize(
    ("glibc", "variables", "wanted"),
    [
        (
            "2.41",
            {"PYTHON": "python3.14"},
            "PYTHON=python3.14 is Python 3.14.\n"
            "With glibc 2.41 it must be 3.13, 3.12 or 3.11 (TFX 1.21), or 3.10 (TFX 1.16).\n",
        ),
        (
            "2.36",
            {"PYTHON": "python3.13"},
            "PYTHON=python3.13 is Python 3.13.\nWith glibc 2.36 it must be 3.10 (TFX 1.16).\n",
        ),
        (
            "2.41",
            {"PYTHON": "python3.13", "GENERATION": "1.16"},
            "PYTHON=python3.13 is Python 3.13.\n"
            "With GENERATION=1.16 and glibc 2.41 it must be 3.10 (TFX 1.16).\n",
        ),
        ("2.41", {"PYTHON": "/no/python"}, "PYTHON=/no/python: there is no such program.\n"),
        ("2.41", {"PYTHON": "broken"}, "PYTHON=broken cannot be used: ImportError: _ctypes\n"),
        ("2.41", {"GENERATION": "1.22"}, "GENERATION=1.22: it must be 1.16 or 1.21.\n"),
        (
            "2.36",
            {"GENERATION": "1.21"},
            "GENERATION=1.21 needs glibc 2.39 or newer; this system has 2.36."
            " Without GENERATION, TFX 1.16 is taken.\n",
        ),
    ],
)
def test_a_wrong_choice_is_told_and_changes_nothing(
    glibc: str, variables: dict[str, str], wanted: str, make_machine: MakeMachine
) -> None:
    machine = make_machine(glibc=glibc)
    machine.uv()
    for version in ("3.14", "3.13"):
        machine.python(version, f"python{version}")
    machine.program(
        "broken", "echo 'Traceback (most recent call last):\nImportError: _ctypes'; false"
    )
    done = machine.setup(**variables)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", wanted)
    assert not (machine.checkout / ".venv").exists()


@pytest.mark.parametrize(
    ("glibc", "here", "brings", "wanted"),
    [
        ("2.41", "3.14", "3.13", "Python 3.13, by uv and TFX 1.21 (glibc 2.41)"),
        # Debian 12.
        ("2.36", "3.11", "3.10", "Python 3.10, by uv and TFX 1.16 (glibc 2.36;"),
        ("2.41", "", "3.13", "Python 3.13, by uv and TFX 1.21 (glibc 2.41)"),
    ],
)
def test_uv_brings_a_python_where_none_fits(
    glibc: str, here: str, brings: str, wanted: str, make_machine: MakeMachine
) -> None:
    machine = make_machine(glibc=glibc)
    if here:
        machine.python(here)
    machine.uv(brings=brings)
    assert f"with {wanted}" in line(machine.setup())
    assert machine.stamp()[1] == brings
    assert machine.uv_calls()[:3] == [
        f"python install {brings}",
        f"python find --system {brings}",
        f"venv --python {machine.folder}/uv-python{brings} .venv",
    ]


@pytest.mark.parametrize(
    ("system", "glibc", "way"),
    [
        (("debian", "13"), "2.41", "sudo apt install python3\n"),
        (("debian", "12"), "2.36", ""),
        (("ubuntu", "22.04"), "2.35", "sudo apt install python3\n"),
        (("ubuntu", "26.04"), "2.43", "sudo apt install python3.13\n"),
        (("fedora", "43"), "2.42", "sudo dnf install python3.13\n"),
        (("opensuse-tumbleweed", "20260101"), "2.42", "sudo zypper install python313\n"),
        (("arch", ""), "2.42", "sudo pacman -S uv\n"),
        (("rocky", "9.5"), "2.34", ""),
    ],
)
def test_without_any_python_the_message_has_the_ways_of_this_system(
    system: tuple[str, str], glibc: str, way: str, make_machine: MakeMachine
) -> None:
    machine = make_machine(glibc=glibc)
    machine.os_release(*system)
    machine.python("3.14")
    machine.uv()
    done = machine.setup()
    assert done.returncode == 2
    best = "3.13" if glibc > "2.39" else "3.10"
    assert f"Python 3.14.1, glibc {glibc}" in done.stderr
    assert "uv could not download one: unreachable\n" in done.stderr
    assert f"pyenv install {best}\n" in done.stderr
    assert f"make PYTHON=/path/to/python{best} ..." in done.stderr
    assert ("  this system:" in done.stderr) == bool(way)
    assert way in done.stderr
    assert not (machine.checkout / ".venv").exists()


@pytest.mark.parametrize(
    ("programs", "wanted"),
    [
        (
            # musl's own tools: no GNU_LIBC_VERSION, and a version on stderr.
            {"getconf": "exit 1", "ldd": "echo 'musl libc (x86_64)' >&2; exit 1"},
            "TFX has no packages for Alpine Linux v3.22, whose C library is not glibc.\n",
        ),
        ({"uname": 'case $1 in -s) echo Linux;; *) echo aarch64;; esac'}, "Linux aarch64.\n"),
        ({"uname": 'case $1 in -s) echo Darwin;; *) echo arm64;; esac'}, "Darwin arm64.\n"),
        ({"getconf": "echo glibc 2.17"}, "TFX has no packages for glibc 2.17.\n"),
    ],
)  # fmt: skip
def test_a_system_without_packages_is_told_at_once(
    programs: dict[str, str], wanted: str, make_machine: MakeMachine
) -> None:
    machine = make_machine()
    machine.os_release("alpine", "3.22", "Alpine Linux v3.22")
    machine.python("3.13")
    machine.uv(brings="3.13")
    for name, body in programs.items():
        machine.program(name, body)
    done = machine.setup()
    assert (done.returncode, done.stdout) == (2, "")
    assert wanted in done.stderr
    assert "docker run --platform linux/amd64" in done.stderr
    assert machine.uv_calls() == []


@pytest.mark.parametrize(
    ("getconf", "ldd"),
    [
        ("echo glibc 2.41", "exit 1"),
        ("exit 1", "echo 'ldd (Debian GLIBC 2.41-12) 2.41'; echo 'Copyright 2025'"),
        ("echo glibc 2.41.9000", "exit 1"),
    ],
)
def test_glibc_is_told_by_either_tool(getconf: str, ldd: str, make_machine: MakeMachine) -> None:
    machine = make_machine()
    machine.program("getconf", getconf)
    machine.program("ldd", ldd)
    machine.python("3.13")
    machine.uv()
    assert "TFX 1.21 (glibc 2.41)" in line(machine.setup())


def test_the_answer_without_network_comes_in_seconds(make_machine: MakeMachine) -> None:
    machine = make_machine()
    started = time.monotonic()
    done = machine.setup()
    assert done.returncode == 2
    assert time.monotonic() - started < 5
    assert "no python3, glibc 2.41" in done.stderr
    assert "uv, which could bring one, could not be downloaded" in done.stderr


def test_the_pythons_of_pyenv_are_those_that_have_a_lock() -> None:
    listed = (ROOT / ".python-version").read_text().split()
    told = subprocess.run(
        ["sh", "-c", ". scripts/setup/python.sh; pythons_of 1.21; pythons_of 1.16"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert listed == told.stdout.split() == ["3.13", "3.12", "3.11", "3.10"]


def test_a_real_python_tells_its_version_and_where_it_is(tmp_path: pathlib.Path) -> None:
    told = subprocess.run(
        ["sh", "-c", '. scripts/setup/python.sh; probe "$1"', "sh", sys.executable],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    version, path = told.stdout.split()
    assert version == f"{sys.version_info[0]}.{sys.version_info[1]}"
    # Not the one in .venv, which the setup may delete.
    assert not path.startswith(sys.prefix)
    assert shutil.which(path)
