"""The command line with which a program of this environment can be started."""

from __future__ import annotations

import os
import shutil
import sys


def program(name: str = "genreflow") -> str:
    """How a program can be typed: by its name where the shell finds it; else this one as it
    was typed, and others by where they lie beside it."""
    if shutil.which(name):
        return name
    return sys.argv[0] if name == "genreflow" else os.path.join(os.path.dirname(sys.argv[0]), name)
