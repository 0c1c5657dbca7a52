"""A server in a process of its own, that is told to stop when this one is."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections.abc import Sequence

from components.common.parent import kill_with_parent

# How often is looked whether it has ended, or has to.
POLL_SECONDS = 0.2


class Child:
    """The running server. Signals to this process are handed on to it as SIGTERM; it is gone
    when this process is, whatever ended that."""

    def __init__(self, words: Sequence[str], grace_seconds: float) -> None:
        self._words, self._grace_seconds = words, grace_seconds
        self._told_at: float | None = None
        self._handlers: dict[int, object] = {}

    def __enter__(self) -> Child:
        # A session of its own: Ctrl-C reaches it once, through here.
        self._process = subprocess.Popen(
            self._words,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=kill_with_parent(),
        )
        self.pid = self._process.pid
        for number in (signal.SIGTERM, signal.SIGINT):
            self._handlers[number] = signal.signal(number, self._tell)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._told_at = self._told_at or time.monotonic()
            self._process.terminate()
            self.wait()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    @property
    def told_to_stop(self) -> bool:
        return self._told_at is not None

    def ended(self) -> str | None:
        """How it ended, in words; None while it runs."""
        code = self._process.poll()
        if code is None:
            return None
        return f"with status {code}" if code >= 0 else f"by {signal.Signals(-code).name}"

    def pause(self, seconds: float) -> None:
        """Sleeps, shorter where it ends meanwhile."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)

    def wait(self) -> int:
        """Until it has ended: the exit status to hand on. It is killed where it does not
        end within the grace after it was told to."""
        while self._process.poll() is None:
            self.pause(POLL_SECONDS)
            told = self._told_at
            if told is not None and time.monotonic() > told + self._grace_seconds:
                self._process.kill()
        if self.told_to_stop:
            return 0
        code = self._process.returncode
        return code if code >= 0 else 128 - code

    def _tell(self, *_: object) -> None:
        if self._told_at is None:
            self._told_at = time.monotonic()
        self._process.terminate()
