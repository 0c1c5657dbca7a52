"""Log and exit status of a step: messages, a node's progress, errors."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TextIO

from components.common.errors import UsageError
from components.common.escape import printable
from components.common.progress import EVENT_FILE_VARIABLE
from pipeline.process import failures

# A retry of a step that exits with EXIT_USAGE would not help.
EXIT_FAILED, EXIT_USAGE = 1, 2
_POLL_SECONDS = 0.5
# Wide enough for every line; log viewers wrap lines themselves.
_WIDTH_CHARS = 240


def say(text: str, *, node_id: str = "", file: TextIO | None = None) -> None:
    """Print text to the step's log, each line after the program's name.

    Args:
      text: one or more lines; unprintable characters are escaped.
      node_id: also printed before each line, unless "".
      file: the stream; None for stdout.
    """
    begin = f"genreflow: {printable(node_id)}: " if node_id else "genreflow: "
    for line in text.splitlines():
        print(f"{begin}{printable(line)}", file=file, flush=True)


def report_error(error: Exception, *, node_id: str = "") -> int:
    """Print an error to stderr and return the step's exit status.

    An error that the user cannot fix is printed with its traceback.

    Args:
      error: the error that ended the step.
      node_id: printed before each line, unless "".
    """
    cause = failures.find_user_error(error)
    if cause is None:
        traceback.print_exc()
    say(str(cause) if cause else failures.one_line(error), node_id=node_id, file=sys.stderr)
    return exit_status(error)


def exit_status(error: Exception) -> int:
    """Return the exit status of a step that an error ended."""
    return EXIT_USAGE if isinstance(error, UsageError) else EXIT_FAILED


@contextlib.contextmanager
def progress_lines(node_id: str) -> Iterator[None]:
    """Print the progress that a node reports, here and in processes that it starts.

    A line is printed every 15 seconds, with a rate and the remaining time.
    """
    from pipeline.display.console import PlainConsole
    from pipeline.display.progress import RunDisplay

    console = PlainConsole(sys.stdout, terminal=False, width=_WIDTH_CHARS)
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
    """Show each event, and ticks in between, until the node is over and all events are read."""
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
