"""Progress events from wherever the work runs to whoever shows it.

A stage calls `report(...)`. Where the environment names an event file (the local
runner sets it), each event is appended to it as one line of JSON; small O_APPEND
writes do not interleave, so threads and worker processes may share the file.
Elsewhere it does nothing.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

EVENT_FILE_VARIABLE = "GENREFLOW_EVENT_FILE"


def report(event: str, **fields: Any) -> None:
    """Appends one event, e.g. report("progress", stage="audio", add=16, total=300).

    `fields` must be JSON values. Never raises for a file that cannot be written: what is
    shown must not end what is done.
    """
    path = os.environ.get(EVENT_FILE_VARIABLE)
    if not path:
        return
    line = json.dumps({"event": event, "time": time.time(), **fields}) + "\n"
    try:
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    except OSError:
        return
    try:
        os.write(handle, line.encode())
    except OSError:
        pass
    finally:
        os.close(handle)
