"""How a process ends that has imported TensorFlow."""

from __future__ import annotations

import os
import sys
from typing import NoReturn


def end(status: int) -> NoReturn:
    """Ends this process at once, with all that it has printed.

    Native libraries may abort while they are torn down, after all work is done; so they are not.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
