"""A decoder in a process of its own: a crash, a hang or a flood of memory costs one track.

Files come from anywhere, and what reads them is native code. `IsolatedDecoder` sends each
question to a process (components.audio.decoding.decode_server) that is started once, and answers as
`InProcessDecoder` does. Where that process dies, does not answer in time or answers
nonsense, the file is to blame: a DecodeError with a reject reason, and a fresh process for
the next one.
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
from components.audio.decoding.decode_tasks import Answer, OutputError
from components.audio.decoding.decoder import Decoder, InProcessDecoder
from components.audio.decoding.limits import DecodeLimits
from components.common.errors import DecoderUnavailableError
from components.common.escape import printable

T = TypeVar("T")

ROOT = pathlib.Path(__file__).resolve().parents[3]
SERVER_COMMAND = (sys.executable, "-m", "components.audio.decoding.decode_server")

# A fresh process imports NumPy and little else: 0.3 s, and minutes on a starved machine.
START_SECONDS = 120.0
# One that was killed is gone at once, unless it hangs in the kernel (a dead network drive).
KILLED_SECONDS = 5.0

# What the process sees of the environment: enough to find Python and its libraries. Files
# from anywhere are read there, so it has no business with keys and passwords.
PASSED_ON = ("HOME", "LANG", "LANGUAGE", "PATH", "TMPDIR", "TZ", "VIRTUAL_ENV")
PASSED_ON_PREFIXES = ("LC_", "LD_", "PYTHON")
# Nothing there is parallel: threads and arenas would only cost address space.
SINGLE_THREADED = {
    "MALLOC_ARENA_MAX": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}

# Verdicts that a process may owe to its past, and not to the file: somebody else killed it,
# or an earlier file damaged or filled its memory. Only a fresh one's counts.
_STATEFUL = ("decoder_crashed", "too_large")
NONSENSE = "the decoder gave an answer that makes no sense"
MAX_DETAIL = 500


class _Crashed(Exception):  # noqa: N818  an outcome, which becomes a DecodeError
    """The process died or answered nonsense; the text says which."""


def make_decoder(limits: DecodeLimits | None) -> Decoder:
    """An isolated decoder, or for None one that decodes in this process."""
    return IsolatedDecoder(limits) if limits else InProcessDecoder()


class IsolatedDecoder(Decoder):
    """Asks one process at a time, which is started when it is first needed.

    Besides DecodeError its methods raise DecoderUnavailableError.
    """

    def __init__(self, limits: DecodeLimits) -> None:
        """Keeps the limits, which hold for each track; starts nothing yet."""
        self._limits = limits
        self._server: _Server | None = None

    def start(self) -> None:
        """Starts the process without waiting for it, so that it is ready when asked.

        Raises:
          DecoderUnavailableError: it cannot be started.
        """
        if self._server is None:
            self._server = _Server(self._limits)

    def close(self) -> None:
        """Ends the process."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def _answer(
        self,
        task: str,
        arguments: dict[str, Any],
        most_samples: int,
        parse: Callable[[Answer], T],
    ) -> T:
        request = {"task": task, **arguments}
        worn = self._server is not None and self._server.asked
        try:
            return self._once(request, most_samples, parse)
        except DecodeError as error:
            if not worn or error.reason not in _STATEFUL:
                raise
        return self._once(request, most_samples, parse)

    def _once(self, request: dict[str, Any], most_samples: int, parse: Callable[[Answer], T]) -> T:
        """One attempt. The process outlives it only if nothing can be wrong with it."""
        self.start()
        assert self._server is not None
        sound = False
        try:
            try:
                result = parse(self._server.ask(request, most_samples))
            except (KeyError, TypeError, ValueError) as error:
                if isinstance(error, DecodeError):
                    raise
                raise _Crashed(NONSENSE) from error
            sound = True
            return result
        except _Crashed as crash:
            raise DecodeError("decoder_crashed", str(crash)) from crash
        except DecodeError as error:
            sound = error.reason not in (*_STATEFUL, "timed_out")
            raise
        except OutputError:
            sound = True
            raise
        finally:
            if not sound:
                self.close()


class _Server:
    """One running process and the socket to it."""

    def __init__(self, limits: DecodeLimits) -> None:
        self.asked = 0
        self._limits = limits
        command = [*SERVER_COMMAND, repr(limits.timeout_seconds), str(limits.memory_mib)]
        try:
            with contextlib.ExitStack() as stack:
                ours, theirs = map(stack.enter_context, socket.socketpair())
                # Standard error is the parent's: the libraries' remarks go where its own go.
                process = subprocess.Popen(
                    command, stdin=theirs.fileno(), stdout=2, cwd=ROOT, env=_environment()
                )
                theirs.close()
                stack.pop_all()
        except OSError as error:
            raise _unavailable(str(error)) from error
        self._process, self._channel = process, ours
        # Also when nobody closes it: with this object, and when the interpreter ends.
        self.stop = weakref.finalize(self, _stop, os.getpid(), process, ours)

    def ask(self, request: dict[str, Any], most_samples: int) -> Answer:
        """Sends a request and waits for the answer.

        Raises:
          DecodeError: the file cannot be used, or there was no answer in time.
          OutputError: what was to be written cannot be.
          DecoderUnavailableError: the process did not start.
          _Crashed: it died, or its answer makes no sense.
        """
        if not self.asked:
            self._wait_until_ready()
        self.asked += 1
        seconds = self._limits.timeout_seconds
        deadline = time.monotonic() + seconds
        text = json.dumps(request).encode("ascii")
        try:
            self._send(FRAME.pack(len(text), 0) + text, deadline)
            values, samples = self._receive(most_samples, deadline)
        except TimeoutError as error:
            raise DecodeError("timed_out", f"not decoded after {seconds:g} s") from error
        except (ConnectionError, EOFError) as error:
            raise _Crashed(f"the decoder ended {self._how_it_ended()}") from error
        match values:
            case {"kind": "done", "values": dict(found)}:
                return Answer(found, samples)
            case {"kind": "reject", "reason": str(reason), "detail": str(detail)} if (
                reason in DECODE_REASONS
            ):
                raise DecodeError(reason, detail[:MAX_DETAIL])
            case {"kind": "output", "detail": str(detail)}:
                raise OutputError(detail)
        raise _Crashed(NONSENSE)

    def _wait_until_ready(self) -> None:
        try:
            values, _ = self._receive(0, time.monotonic() + START_SECONDS)
        except TimeoutError as error:
            raise _unavailable(f"it was not ready after {START_SECONDS:g} s") from error
        except (ConnectionError, EOFError) as error:
            raise _unavailable(f"it ended {self._how_it_ended()}") from error
        except _Crashed as error:
            raise _unavailable(f"{error}") from error
        if values.get("kind") != "ready":
            raise _unavailable(str(values.get("detail", NONSENSE)))

    def _send(self, message: bytes, deadline: float) -> None:
        self._channel.settimeout(_seconds_until(deadline))
        self._channel.sendall(message)

    def _receive(
        self, most_samples: int, deadline: float
    ) -> tuple[dict[str, Any], npt.NDArray[np.float32]]:
        head = bytearray(FRAME.size)
        self._fill(memoryview(head), deadline)
        json_bytes, count = FRAME.unpack(head)
        if json_bytes > MAX_JSON_BYTES or count > most_samples:
            raise _Crashed(NONSENSE)
        text = bytearray(json_bytes)
        self._fill(memoryview(text), deadline)
        samples = np.empty(count, np.float32)
        self._fill(samples.data.cast("B") if count else memoryview(b""), deadline)
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise _Crashed(NONSENSE) from error
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
            status = self._process.wait(KILLED_SECONDS)
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
        f"the process that decodes cannot be started: {printable(why)}; mend that, or decode "
        "without it (dataset.isolate_decoding = false)"
    )


def _stop(owner: int, process: subprocess.Popen[bytes], channel: socket.socket) -> None:
    channel.close()
    if os.getpid() != owner:
        return  # a fork of the process whose child it is
    process.kill()
    # One that hangs in the kernel is left to die when it can; Popen reaps it later.
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(KILLED_SECONDS)
