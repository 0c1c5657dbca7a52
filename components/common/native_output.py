"""Silencing of native libraries, which write to file descriptor 2 themselves."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from typing import TextIO

# Of two threads that each save and restore the descriptor, the later would keep it silent.
_LOCK = threading.RLock()


@contextlib.contextmanager
def discard_stderr() -> Iterator[TextIO]:
    """Discard what is written to file descriptor 2, and yield a file that still reaches it."""
    if sys.stderr is None:  # started with the descriptor closed: it may be any file's by now
        with open(os.devnull, "w", encoding="utf-8") as file:
            yield file
        return
    with _LOCK:
        sys.stderr.flush()
        screen = os.dup(2)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, 2)
            with open(screen, "w", encoding="utf-8", closefd=False) as file:
                yield file
        finally:
            sys.stderr.flush()
            os.dup2(screen, 2)
            os.close(screen)
            os.close(nowhere)
