"""Child process that a server runs in."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections.abc import Sequence

from components.common.parent import kill_with_parent

POLL_SECONDS = 0.2


class ServerProcess:
    """A server's process: a context manager that starts and ends it.

    SIGTERM and SIGINT to this process are forwarded to it as SIGTERM. The kernel kills it when
    this process ends, however that ends.

    Attributes:
      pid: the process's id.
    """

    def __init__(self, arguments: Sequence[str], grace_seconds: float) -> None:
        """Start nothing yet.

        Args:
          arguments: the program and its arguments.
          grace_seconds: time from a stop request until the process is killed.
        """
        self._arguments, self._grace_seconds = arguments, grace_seconds
        self._stop_requested_at: float | None = None
        self._handlers: dict[int, object] = {}

    def __enter__(self) -> ServerProcess:
        # In a session of its own, so that Ctrl-C reaches it only through this process.
        self._process = subprocess.Popen(
            self._arguments,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=kill_with_parent(),
        )
        self.pid = self._process.pid
        for number in (signal.SIGTERM, signal.SIGINT):
            self._handlers[number] = signal.signal(number, self._request_stop)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._stop_requested_at = self._stop_requested_at or time.monotonic()
            self._process.terminate()
            self.wait()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    @property
    def is_stopping(self) -> bool:
        """Return whether the process was asked to stop."""
        return self._stop_requested_at is not None

    def ending(self) -> str | None:
        """Return how the process ended, such as "with status 1"; None while it runs."""
        code = self._process.poll()
        if code is None:
            return None
        return f"with status {code}" if code >= 0 else f"by {signal.Signals(-code).name}"

    def pause(self, seconds: float) -> None:
        """Sleep until the time is over or the process has ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)

    def wait(self) -> int:
        """Wait until the process has ended, and kill it if a stop takes too long.

        Returns:
          The exit status to exit with: 0 if the process was asked to stop, else its own.
        """
        while self._process.poll() is None:
            self.pause(POLL_SECONDS)
            since = self._stop_requested_at
            if since is not None and time.monotonic() > since + self._grace_seconds:
                self._process.kill()
        if self.is_stopping:
            return 0
        code = self._process.returncode
        return code if code >= 0 else 128 - code

    def _request_stop(self, *_: object) -> None:
        if self._stop_requested_at is None:
            self._stop_requested_at = time.monotonic()
        self._process.terminate()
