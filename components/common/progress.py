"""Progress events from stages, which may run in other processes, to the display.

If the environment names an event file (the local runner sets it), `report` appends each event
as one line of JSON. Small O_APPEND writes do not interleave, so threads and worker processes may
share the file. Without an event file `report` does nothing.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

EVENT_FILE_VARIABLE = "GENREFLOW_EVENT_FILE"


def report(event: str, **fields: Any) -> None:
    """Append one event, such as report("progress", stage="audio", add=16, total=300).

    A file that cannot be written is ignored, because the display must not end the work.

    Args:
      event: kind of the event.
      **fields: JSON values.
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
