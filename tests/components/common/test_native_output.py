"""Tests of the silencing of native libraries, in processes of their own."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import os, sys, threading
from components.common.native_output import discard_stderr
"""


def stderr_of(program: str, *, closed: bool = False) -> str:
    redirection = "2>&-" if closed else ""
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" -c "$1" {redirection}', sys.executable, PROGRAM + program],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
    return done.stderr


def test_what_is_written_to_the_descriptor_is_discarded_until_the_end_of_the_context() -> None:
    program = """
with discard_stderr() as file:
    os.write(2, b"native ")
    print("python", file=sys.stderr)
    print("shown", file=file)
os.write(2, b"after")
print("done")
"""
    assert stderr_of(program) == "shown\nafter"


def test_an_error_restores_the_descriptor() -> None:
    program = """
try:
    with discard_stderr():
        raise ImportError
except ImportError:
    os.write(2, b"after")
print("done")
"""
    assert stderr_of(program) == "after"


def test_of_several_threads_none_leaves_the_descriptor_silent() -> None:
    program = """
first, second, ended = threading.Event(), threading.Event(), threading.Event()
def begin():
    with discard_stderr():
        first.set()
        second.wait(0.5)
    ended.set()
def overlap():
    first.wait()
    with discard_stderr():
        second.set()
        ended.wait()
threads = [threading.Thread(target=work) for work in (begin, overlap)]
for thread in threads: thread.start()
for thread in threads: thread.join()
os.write(2, b"after")
print("done")
"""
    assert stderr_of(program) == "after"


def test_a_process_without_the_descriptor_keeps_the_file_that_took_its_number() -> None:
    program = """
taken = os.open("/dev/zero", os.O_RDWR)
with discard_stderr() as file:
    print("nowhere", file=file)
    assert os.read(taken, 1) == b"\\0", taken
assert taken == 2
print("done")
"""
    assert stderr_of(program, closed=True) == ""
