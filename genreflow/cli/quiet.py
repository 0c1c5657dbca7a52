"""A console for commands whose native libraries comment on stderr."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

from components.common.native_output import discard_stderr

if TYPE_CHECKING:
    from pipeline.display.console import PlainConsole


@contextlib.contextmanager
def quiet_stderr() -> Iterator[PlainConsole]:
    """Discard what is written to file descriptor 2, and yield a console that still reaches it.

    libmpg123 comments on damaged files there; the reject's reason says what matters. No error
    is lost, as Python raises its own.
    """
    from pipeline.display.console import PlainConsole

    with discard_stderr() as file, warnings.catch_warnings():
        # rich shows what Python writes to stderr, warnings included.
        warnings.simplefilter("ignore")
        yield PlainConsole(file)
