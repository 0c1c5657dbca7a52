"""Processes that end with the process that started them, however that ends (SIGKILL too).

A parent that is killed cannot end its children, so each child sees to it itself:

- A Python child is given a pipe or a socket as standard input. The kernel closes the parent's
  end with the parent; the child watches for that with `exit_at_end_of_input` (a pipe that
  carries nothing) or `exit_at_hang_up` (a socket that carries messages).
- Any other program is started with `kill_with_parent()` as its `preexec_fn`.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import socket
import threading
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
# Enough for the watching threads; a child may have little address space.
_STACK_BYTES = 1 << 18


def exit_at_end_of_input(*, with_group: bool = False) -> None:
    """End this process with status 1 as soon as its standard input is closed.

    Whatever arrives on standard input before is discarded.

    Args:
      with_group: also kill the other processes of this process's group, if it leads one.
    """

    def wait() -> None:
        while os.read(0, 4096):
            pass
        if with_group and os.getpgrp() == os.getpid():
            os.killpg(os.getpid(), signal.SIGKILL)
        os._exit(1)

    _watch(wait)


def exit_at_hang_up(channel: socket.socket) -> None:
    """End this process with status 0 as soon as the peer closes a socket.

    Works in the middle of a request too, and reads nothing from the socket.
    """
    poll = select.poll()
    poll.register(channel, 0)  # hang-up alone

    def wait() -> None:
        poll.poll()
        os._exit(0)

    _watch(wait)


def kill_with_parent() -> Callable[[], None]:
    """Return a `preexec_fn` for Popen: the kernel kills the child when the parent ends.

    The parent is the thread that starts the child, so start it from the main thread.
    """
    libc = ctypes.CDLL(None)  # loaded before the fork, after which little is allowed

    def preexec() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    return preexec


def _watch(wait: Callable[[], None]) -> None:
    default = threading.stack_size(_STACK_BYTES)
    try:
        threading.Thread(target=wait, name="parent", daemon=True).start()
    finally:
        threading.stack_size(default)
