"""A process ends with the program that started it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

import pytest

PROGRAM = """
import subprocess, sys, time
from components.common.parent import exit_at_end_of_input
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
exit_at_end_of_input(with_group=True)
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("leads_a_group", [True, False])
def test_a_closed_standard_input_ends_the_server_and_in_a_group_of_its_own_what_it_started(
    leads_a_group: bool,
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=leads_a_group,
    )
    assert process.stdin
    assert process.stdout
    child = int(process.stdout.readline())
    process.stdin.write(b"more input\n")
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


def test_a_socket_that_the_parent_closes_ends_the_process_with_0() -> None:
    program = (
        "import socket, time\n"
        "from components.common.parent import exit_at_hang_up\n"
        "channel = socket.socket(fileno=0)\n"
        "exit_at_hang_up(channel)\n"
        "assert channel.recv(16) == b'request'\n"
        "channel.sendall(b'reply')\n"
        "time.sleep(600)\n"
    )
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = subprocess.Popen([sys.executable, "-c", program], stdin=theirs.fileno())
        theirs.close()
        ours.sendall(b"request")
        assert ours.recv(16) == b"reply"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        ours.close()
        assert process.wait(30) == 0
