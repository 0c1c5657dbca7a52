"""scripts/setup_env.sh: which Python and generation it chooses, and what it says and does then."""

from __future__ import annotations

import pathlib
import shutil
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from tests.support import ROOT
from tests.support.setup_machine import LOCK, SetupMachine

MakeMachine = Callable[..., SetupMachine]


@pytest.fixture
def make_machine(
    tmp_path: pathlib.Path, requires_program: Callable[[str, str], str]
) -> MakeMachine:
    requires_program("flock", "util-linux")
    return lambda **choices: SetupMachine(tmp_path, **choices)


def line(done: subprocess.CompletedProcess[str]) -> str:
    """Return the line that says what is set up and why."""
    assert done.returncode == 0, done.stderr
    (found,) = [text for text in done.stdout.splitlines() if text.startswith("Setting up .venv")]
    return found


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


def test_the_packages_come_from_the_lock_of_the_generation(make_machine: MakeMachine) -> None:
    machine = make_machine()
    python = machine.python("3.12", "python")
    machine.uv()
    line(machine.setup())
    assert machine.uv_calls() == [
        f"venv --python {python} .venv",
        "pip sync --python .venv/bin/python --require-hashes requirements/1.21/dev.lock"
        " requirements/uv.txt",
        "pip install --python .venv/bin/python --no-deps --no-build-isolation --editable .",
    ]


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


def test_without_a_compiler_farmhash_comes_in_python(make_machine: MakeMachine) -> None:
    machine = make_machine()
    machine.program("c++", "exit 1")
    machine.python("3.13")
    machine.uv()
    said = line(machine.setup())
    assert "(glibc 2.41; no C++ compiler with Python's headers, so farmhash in Python)" in said
    lock = machine.checkout / ".venv/without-pyfarmhash.lock"
    assert lock.read_text() == LOCK.replace("pyfarmhash==0.3.2 \\\n    --hash=sha256:2\n", "")
    calls = machine.uv_calls()
    assert ".venv/without-pyfarmhash.lock requirements/uv.txt" in calls[1]
    assert calls[2].endswith("--no-build-isolation ./.venv/pyfarmhash")
    assert (machine.checkout / ".venv/pyfarmhash/farmhash.py").is_file()


def test_a_finished_venv_is_left_alone_until_something_changes(make_machine: MakeMachine) -> None:
    machine = make_machine()
    machine.python("3.13")
    machine.python("3.12", "python3.12")
    machine.uv()
    line(machine.setup(GENERATION="1.21", PYTHON="python3.12"))
    machine.uv_calls()
    for variables in ({}, {"PYTHON": "python3.12"}, {"GENERATION": "1.21"}):
        done = machine.setup(**variables)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert machine.uv_calls() == []

    # With a new lock, the Python that was asked for stays, and so does the folder.
    (machine.checkout / "requirements/1.21/dev.lock").write_text("three==3\n")
    assert "with Python 3.12 and TFX 1.21 (as before)" in line(machine.setup())
    assert [call.split()[:2] for call in machine.uv_calls()] == [
        ["pip", "sync"],
        ["pip", "install"],
    ]

    assert "with Python 3.13 and" in line(machine.setup(PYTHON="python3"))
    assert machine.stamp() == ["1.21", "3.13"]
    assert machine.uv_calls()[0].startswith("venv ")


def test_a_venv_that_was_moved_is_made_anew(make_machine: MakeMachine) -> None:
    machine = make_machine()
    machine.python("3.13")
    machine.uv()
    line(machine.setup())
    machine.uv_calls()
    machine.checkout = machine.checkout.rename(machine.folder / "elsewhere")
    line(machine.setup())
    assert machine.uv_calls()[0].startswith("venv ")


@pytest.mark.parametrize("half", ["1.16", "1.21"])
def test_a_half_made_venv_is_completed_or_replaced(half: str, make_machine: MakeMachine) -> None:
    machine = make_machine()
    machine.python("3.13")
    machine.python("3.10", "python3.10")
    machine.uv(sync="echo 'connection lost'; exit 2")
    done = machine.setup(GENERATION=half)
    assert done.returncode == 1
    assert "failed while installing the locked packages" in done.stderr
    assert "  connection lost\nRun the same command again to retry.\n" in done.stderr
    assert machine.stamp() == []
    leftover = machine.checkout / ".venv/leftover"
    leftover.touch()
    machine.uv()
    line(machine.setup())
    assert machine.stamp() == ["1.21", "3.13"]
    assert leftover.exists() == (half == "1.21")


def test_an_interrupted_change_is_not_taken_for_finished(make_machine: MakeMachine) -> None:
    machine = make_machine()
    machine.python("3.13")
    machine.uv()
    line(machine.setup())
    lock = machine.checkout / "requirements/1.21/dev.lock"
    lock.write_text("three==3\n")
    machine.uv(sync="kill $PPID")
    assert machine.setup().returncode != 0
    # Back on the first lock, whose packages may be gone.
    lock.write_text(LOCK)
    machine.uv()
    machine.uv_calls()
    line(machine.setup())
    assert machine.uv_calls()[0].startswith("pip sync ")


def test_two_setups_at_once_are_one(make_machine: MakeMachine) -> None:
    machine = make_machine()
    machine.python("3.13")
    machine.uv(sync="sleep 1")
    command = "sh scripts/setup_env.sh >first 2>&1 & sleep 0.3; sh scripts/setup_env.sh; wait"
    done = subprocess.run(
        [machine.bin / "sh", "-c", command],
        cwd=machine.checkout,
        env={"PATH": str(machine.bin)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "Waiting for another setup of .venv to end ...\n"
    assert len([call for call in machine.uv_calls() if call.startswith("pip sync")]) == 1
    assert machine.stamp() == ["1.21", "3.13"]


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
