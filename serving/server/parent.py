"""A server that lives no longer than the program that started it."""

from __future__ import annotations

import os
import signal
import threading


def end_with_parent() -> None:
    """Ends this process, at once, when its standard input is closed.

    Whoever starts a server for a while gives it a pipe as standard input: the pipe is closed
    when that program ends, even by SIGKILL. What the server itself has started ends too, if it
    leads a process group of its own.
    """
    threading.Thread(target=_wait, name="parent", daemon=True).start()


def _wait() -> None:
    while os.read(0, 4096):
        pass
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)
