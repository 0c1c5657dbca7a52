"""Silencing of native libraries, which write to file descriptor 2 themselves."""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.display.console import PlainConsole


@contextlib.contextmanager
def quiet_stderr() -> Iterator[PlainConsole]:
    """Discard what is written to file descriptor 2, and yield a console that still reaches it.

    libmpg123 comments on damaged files there; the reject's reason says what matters. No error
    is lost, as Python raises its own.
    """
    from pipeline.display.console import PlainConsole

    sys.stderr.flush()
    screen = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        with warnings.catch_warnings(), open(screen, "w", encoding="utf-8", closefd=False) as file:
            # rich shows what Python writes to stderr, warnings included.
            warnings.simplefilter("ignore")
            yield PlainConsole(file)
    finally:
        sys.stderr.flush()
        os.dup2(screen, 2)
        os.close(screen)
        os.close(nowhere)
