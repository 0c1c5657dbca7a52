"""scripts/setup_env.sh: how .venv is made, kept, completed and replaced."""

from __future__ import annotations

import subprocess

import pytest

from tests.support.setup_machine import LOCK, MakeMachine, line


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
