"""What a step's log tells while its node works: how far it is, as a local run tells without a
terminal."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rich.console import Console

from components.common.progress import EVENT_FILE_VARIABLE
from pipeline.display.progress import RunDisplay

_POLL_SECONDS = 0.5
# Wide enough for every line; who looks at a log wraps it.
_WIDTH = 240


@contextlib.contextmanager
def told(node_id: str) -> Iterator[None]:
    """Prints what the node reports, in this process and in those that it starts: a line every 15
    seconds with a rate and what remains."""
    console = Console(file=sys.stdout, force_terminal=False, width=_WIDTH, color_system=None)
    with tempfile.TemporaryDirectory(prefix="genreflow-events-") as folder:
        events = pathlib.Path(folder, "events.jsonl")
        events.touch()
        over = threading.Event()
        with RunDisplay(console) as display:
            display({"event": "checking", "detail": node_id})
            thread = threading.Thread(target=_follow, args=(events, over, display), daemon=True)
            thread.start()
            before = os.environ.get(EVENT_FILE_VARIABLE)
            os.environ[EVENT_FILE_VARIABLE] = str(events)
            try:
                yield
            finally:
                if before is None:
                    del os.environ[EVENT_FILE_VARIABLE]
                else:
                    os.environ[EVENT_FILE_VARIABLE] = before
                over.set()
                thread.join()
                sys.stdout.flush()


def _follow(
    events: pathlib.Path, over: threading.Event, show: Callable[[Mapping[str, Any]], None]
) -> None:
    """Shows each event, and that time passes, until it is over and all are read."""
    with events.open(encoding="utf-8") as lines:
        partial = ""
        while True:
            ended = over.wait(_POLL_SECONDS)
            while line := lines.readline():
                partial += line
                if partial.endswith("\n"):
                    show(json.loads(partial))
                    partial = ""
            if ended:
                return
            show({"event": "tick"})
            sys.stdout.flush()
