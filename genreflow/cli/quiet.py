"""Native libraries write to file descriptor 2 themselves; this keeps them off the screen."""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Iterator

from rich.console import Console


@contextlib.contextmanager
def quiet_stderr() -> Iterator[Console]:
    """Sends file descriptor 2 to nowhere, and yields a console that still reaches it.

    For stretches where libmpg123 comments on damaged files; what matters of it comes
    as a reject's reason. Python's own errors are raised, so none is lost.
    """
    sys.stderr.flush()
    screen = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        with warnings.catch_warnings(), open(screen, "w", encoding="utf-8", closefd=False) as file:
            # rich catches what Python writes to stderr and shows it; warnings would get through.
            warnings.simplefilter("ignore")
            yield Console(file=file)
    finally:
        sys.stderr.flush()
        os.dup2(screen, 2)
        os.close(screen)
        os.close(nowhere)
