"""Rules for colours and live output on a stream. Light to import."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Protocol


class Stream(Protocol):
    """Stream that may be a terminal."""

    def isatty(self) -> bool:
        """Return whether it is one."""


def has_colours(stream: Stream, environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether to write colours and other styles to a stream.

    The first of these that applies decides: NO_COLOR (https://no-color.org) turns them off;
    FORCE_COLOR and CLICOLOR_FORCE turn them on; TERM=dumb and CLICOLOR=0 turn them off. Otherwise
    a terminal has colours. A variable that is set to nothing counts as absent, and so does a
    forcing one that is 0.

    Args:
      stream: the stream.
      environ: the environment variables.
    """
    if environ.get("NO_COLOR"):
        return False
    if any(environ.get(name, "0") not in ("", "0") for name in ("FORCE_COLOR", "CLICOLOR_FORCE")):
        return True
    if environ.get("TERM") == "dumb" or environ.get("CLICOLOR") == "0":
        return False
    return stream.isatty()


def is_live(stream: Stream, environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether bars and spinners can be drawn: at a terminal that moves its cursor.

    Args:
      stream: the stream.
      environ: the environment variables.
    """
    return environ.get("TERM") != "dumb" and stream.isatty()
