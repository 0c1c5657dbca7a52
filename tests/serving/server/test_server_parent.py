"""A server ends with the program that started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

SERVER = """
import subprocess, sys, time
from serving.server import parent
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
parent.end_with_parent()
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("leads_a_group", [True, False])
def test_a_closed_standard_input_ends_the_server_and_in_a_group_of_its_own_what_it_started(
    leads_a_group: bool,
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=leads_a_group,
    )
    assert process.stdin
    assert process.stdout
    child = int(process.stdout.readline())
    process.stdin.write(b"words that are no end\n")
    process.stdin.flush()
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    process.stdin.close()
    process.wait(30)
    if leads_a_group:
        # Whoever holds the other end of the pipe: it is closed when the last of them has ended.
        assert process.stdout.read() == b""
    else:
        os.kill(child, signal.SIGKILL)  # it lives: only a group of the server's own is ended
