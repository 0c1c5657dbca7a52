"""Decoding in a separate process, so that a crash, a hang or a memory leak costs one track.

Files come from anywhere, and native code reads them. `IsolatedDecoder` sends each request to
a process (components.audio.decoding.decode_server) that is started once, and returns what
`InProcessDecoder` would. If that process dies, times out or sends an invalid response, the
file is to blame: the caller gets a DecodeError with a reject reason, and the next request a
fresh process.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from components.audio.decoding.decode import DECODE_REASONS, DecodeError
from components.audio.decoding.decode_server import FRAME, MAX_JSON_BYTES
from components.audio.decoding.decode_tasks import DecodeResult, OutputError
from components.audio.decoding.decoder import (
    MAX_DETAIL_CHARACTERS,
    Decoder,
    InProcessDecoder,
)
from components.audio.decoding.limits import DecodeLimits
from components.common.errors import DecoderUnavailableError
from components.common.escape import printable

T = TypeVar("T")

ROOT = pathlib.Path(__file__).resolve().parents[3]
SERVER_COMMAND = (sys.executable, "-m", "components.audio.decoding.decode_server")

# A fresh process imports NumPy and little else: 0.3 s, or minutes on an overloaded machine.
MAX_START_SECONDS = 120.0
# A killed process is gone at once, unless it hangs in the kernel (a dead network drive).
MAX_KILL_SECONDS = 5.0

# The environment variables that the process inherits: enough to find Python and its
# libraries. It reads files from anywhere, so it must not see keys and passwords.
PASSED_ON = ("HOME", "LANG", "LANGUAGE", "PATH", "TMPDIR", "TZ", "VIRTUAL_ENV")
PASSED_ON_PREFIXES = ("LC_", "LD_", "PYTHON")
# The process runs one task at a time; threads and arenas would only cost address space.
SINGLE_THREADED = {
    "MALLOC_ARENA_MAX": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}

# Outcomes that may not be the file's fault: something else killed the process, or an earlier
# file damaged or filled its memory. They count only from a fresh process.
_STATEFUL = ("decoder_crashed", "too_large")
INVALID_RESPONSE = "the decoder sent an invalid response"


class _Crashed(Exception):  # noqa: N818  an outcome, which becomes a DecodeError
    """Death of the process or an invalid response; the text says which."""


def make_decoder(limits: DecodeLimits | None) -> Decoder:
    """Return an isolated decoder with these limits, or for None one in this process."""
    return IsolatedDecoder(limits) if limits else InProcessDecoder()


class IsolatedDecoder(Decoder):
    """Decoder that runs in a separate process, started on the first request.

    Its methods raise DecodeError, and DecoderUnavailableError if no process can be started.
    """

    def __init__(self, limits: DecodeLimits, *, quiet: bool = False) -> None:
        """Set the limits for each track. No process is started yet.

        Args:
          limits: of each track.
          quiet: discard what libraries print, such as remarks on damaged files.
        """
        self._limits, self._quiet = limits, quiet
        self._server: _Server | None = None

    def start(self) -> None:
        """Start the process without waiting until it is ready.

        Raises:
          DecoderUnavailableError: it cannot be started.
        """
        if self._server is None:
            self._server = _Server(self._limits, quiet=self._quiet)

    def close(self) -> None:
        """End the process."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def _execute(
        self,
        task: str,
        arguments: dict[str, Any],
        max_samples: int,
        parse: Callable[[DecodeResult], T],
    ) -> T:
        request = {"task": task, **arguments}
        reused = self._server is not None and self._server.requests > 0
        try:
            return self._once(request, max_samples, parse)
        except DecodeError as error:
            if not reused or error.reason not in _STATEFUL:
                raise
        return self._once(request, max_samples, parse)

    def _once(
        self, request: dict[str, Any], max_samples: int, parse: Callable[[DecodeResult], T]
    ) -> T:
        """Make one attempt; end the process unless it is certainly intact afterwards."""
        self.start()
        assert self._server is not None
        intact = False
        try:
            try:
                result = parse(self._server.send(request, max_samples))
            except (KeyError, TypeError, ValueError) as error:
                if isinstance(error, DecodeError):
                    raise
                raise _Crashed(INVALID_RESPONSE) from error
            intact = True
            return result
        except _Crashed as crash:
            raise DecodeError("decoder_crashed", str(crash)) from crash
        except DecodeError as error:
            intact = error.reason not in (*_STATEFUL, "timed_out")
            raise
        except OutputError:
            intact = True
            raise
        finally:
            if not intact:
                self.close()


class _Server:
    """Running decoding process and the socket to it."""

    def __init__(self, limits: DecodeLimits, *, quiet: bool) -> None:
        self.requests = 0
        self._limits = limits
        command = [*SERVER_COMMAND, repr(limits.timeout_seconds), str(limits.memory_mib)]
        try:
            with contextlib.ExitStack() as stack:
                ours, theirs = map(stack.enter_context, socket.socketpair())
                # Output of libraries goes to the parent's standard error.
                output = subprocess.DEVNULL if quiet else 2
                process = subprocess.Popen(
                    command,
                    stdin=theirs.fileno(),
                    stdout=output,
                    stderr=output,
                    cwd=ROOT,
                    env=_environment(),
                )
                theirs.close()
                stack.pop_all()
        except OSError as error:
            raise _unavailable(str(error)) from error
        self._process, self._channel = process, ours
        # Runs at the end of this object or of the interpreter, if it has not been called before.
        self.stop = weakref.finalize(self, _stop, os.getpid(), process, ours)

    def send(self, request: dict[str, Any], max_samples: int) -> DecodeResult:
        """Send a request and wait for the response.

        Raises:
          DecodeError: the file cannot be used, or the request timed out.
          OutputError: the output file cannot be written.
          DecoderUnavailableError: the process did not start.
          _Crashed: the process died, or its response is invalid.
        """
        if not self.requests:
            self._wait_until_ready()
        self.requests += 1
        seconds = self._limits.timeout_seconds
        deadline = time.monotonic() + seconds
        text = json.dumps(request).encode("ascii")
        try:
            self._send_bytes(FRAME.pack(len(text), 0) + text, deadline)
            values, samples = self._receive(max_samples, deadline)
        except TimeoutError as error:
            raise DecodeError("timed_out", f"not decoded after {seconds:g} s") from error
        except (ConnectionError, EOFError) as error:
            raise _Crashed(f"the decoder ended {self._how_it_ended()}") from error
        match values:
            case {"kind": "done", "values": dict(result)}:
                return DecodeResult(result, samples)
            case {"kind": "reject", "reason": str(reason), "detail": str(detail)} if (
                reason in DECODE_REASONS
            ):
                raise DecodeError(reason, detail[:MAX_DETAIL_CHARACTERS])
            case {"kind": "output", "detail": str(detail)}:
                raise OutputError(detail)
        raise _Crashed(INVALID_RESPONSE)

    def _wait_until_ready(self) -> None:
        try:
            values, _ = self._receive(0, time.monotonic() + MAX_START_SECONDS)
        except TimeoutError as error:
            raise _unavailable(f"it was not ready after {MAX_START_SECONDS:g} s") from error
        except (ConnectionError, EOFError) as error:
            raise _unavailable(f"it ended {self._how_it_ended()}") from error
        except _Crashed as error:
            raise _unavailable(f"{error}") from error
        if values.get("kind") != "ready":
            raise _unavailable(str(values.get("detail", INVALID_RESPONSE)))

    def _send_bytes(self, message: bytes, deadline: float) -> None:
        self._channel.settimeout(_seconds_until(deadline))
        self._channel.sendall(message)

    def _receive(
        self, max_samples: int, deadline: float
    ) -> tuple[dict[str, Any], npt.NDArray[np.float32]]:
        head = bytearray(FRAME.size)
        self._fill(memoryview(head), deadline)
        json_bytes, count = FRAME.unpack(head)
        if json_bytes > MAX_JSON_BYTES or count > max_samples:
            raise _Crashed(INVALID_RESPONSE)
        text = bytearray(json_bytes)
        self._fill(memoryview(text), deadline)
        samples = np.empty(count, np.float32)
        self._fill(samples.data.cast("B") if count else memoryview(b""), deadline)
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise _Crashed(INVALID_RESPONSE) from error
        return (values if isinstance(values, dict) else {}), samples

    def _fill(self, view: memoryview, deadline: float) -> None:
        while view:
            self._channel.settimeout(_seconds_until(deadline))
            received = self._channel.recv_into(view)
            if not received:
                raise EOFError
            view = view[received:]

    def _how_it_ended(self) -> str:
        try:
            status = self._process.wait(MAX_KILL_SECONDS)
        except subprocess.TimeoutExpired:
            return "its connection"
        if status >= 0:
            return f"with status {status}"
        try:
            return f"by {signal.Signals(-status).name}"
        except ValueError:
            return f"by signal {-status}"


def _seconds_until(deadline: float) -> float:
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds


def _environment() -> dict[str, str]:
    passed = {
        name: value
        for name, value in os.environ.items()
        if name in PASSED_ON or name.startswith(PASSED_ON_PREFIXES)
    }
    return {**passed, **SINGLE_THREADED}


def _unavailable(why: str) -> DecoderUnavailableError:
    return DecoderUnavailableError(
        f"the decoding process cannot be started: {printable(why)}; fix the cause, or decode "
        "in this process (dataset.isolate_decoding = false)"
    )


def _stop(owner: int, process: subprocess.Popen[bytes], channel: socket.socket) -> None:
    channel.close()
    if os.getpid() != owner:
        return  # in a fork: the child is the original process's
    process.kill()
    # A process that hangs in the kernel dies later; Popen reaps it then.
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(MAX_KILL_SECONDS)
