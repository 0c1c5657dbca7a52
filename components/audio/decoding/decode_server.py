"""The decoding process: `python -m components.audio.decoding.decode_server SECONDS MIB`.

Its parent (components.audio.decoding.isolation) talks to it through a socket, which is its
standard input. A message in either direction is a frame of two lengths, JSON, and raw float32
samples. Nothing that an audio file could influence is ever executed or unpickled.

The first message to the parent is {"kind": "ready"} or {"kind": "unavailable", "detail": ...}.
Then it serves one request at a time, {"task": ..., its arguments}. The response is one of

- {"kind": "done", "values": ...} and the samples,
- {"kind": "reject", "reason": ..., "detail": ...} for a file that cannot be used,
- {"kind": "output", "detail": ...} if an output file could not be written.

The process ends when its parent does, however that ends. The kernel limits its memory (by the
size of its address space) and its time (by a timer for each request). The parent has a timeout
too; the timer is for a process whose parent is gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from components.common.parent import exit_at_hang_up

if TYPE_CHECKING:
    from components.audio.decoding.decode_tasks import DecodeResult

# Bytes of JSON and number of samples, little-endian.
FRAME = struct.Struct("<IQ")
# Paths are at most 4 KiB, and JSON makes at most 6 bytes of each.
MAX_JSON_BYTES = 1 << 20
# The parent, if it is alive, times out first.
GRACE_SECONDS = 5.0
MIB = 1 << 20


def main(tasks: Mapping[str, Callable[..., DecodeResult]] | None = None) -> None:
    """Serve requests until the parent closes the socket.

    Args:
      tasks: the tasks by name; None is components.audio.decoding.decode_tasks.TASKS.
    """
    # An interrupt from the keyboard is the parent's to handle.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    seconds, mib = float(sys.argv[1]), int(sys.argv[2])
    channel = _take_channel()
    try:
        if tasks is None:
            from components.audio.decoding.decode_tasks import TASKS

            tasks = TASKS
        exit_at_hang_up(channel)
        _limit_memory(mib * MIB)
    except (ImportError, OSError, ValueError) as error:
        _send(channel, {"kind": "unavailable", "detail": f"{type(error).__name__}: {error}"})
        return
    with contextlib.suppress(ConnectionError):  # the parent is gone
        _send(channel, {"kind": "ready"})
        while request := _receive(channel):
            signal.setitimer(signal.ITIMER_REAL, seconds + GRACE_SECONDS)
            values, samples = _perform(tasks[request.pop("task")], request)
            _send(channel, values, samples)
            signal.setitimer(signal.ITIMER_REAL, 0)


def _take_channel() -> socket.socket:
    """Move the socket away from standard input, which libraries may read.

    Standard output then goes to standard error.
    """
    channel = socket.socket(fileno=os.dup(0))
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    os.dup2(2, 1)
    os.close(nowhere)
    return channel


def _limit_memory(more_bytes: int) -> None:
    """Limit the growth of the address space to `more_bytes`, and disable core files."""
    with open("/proc/self/statm", encoding="ascii") as file:
        pages = int(file.read().split()[0])
    limit = pages * resource.getpagesize() + more_bytes
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _perform(
    task: Callable[..., DecodeResult], arguments: dict[str, Any]
) -> tuple[dict[str, Any], memoryview]:
    """Run a task and return the JSON and the samples of its response."""
    from components.audio.decoding.decode import DecodeError, too_large
    from components.audio.decoding.decode_tasks import OutputError

    nothing = memoryview(b"")
    try:
        try:
            result = task(**arguments)
        except MemoryError as error:
            raise too_large() from error
        samples = result.samples.data.cast("B") if len(result.samples) else nothing
        return {"kind": "done", "values": result.values}, samples
    except DecodeError as error:
        return {"kind": "reject", "reason": error.reason, "detail": error.detail}, nothing
    except OutputError as error:
        return {"kind": "output", "detail": str(error)}, nothing
    except Exception as error:
        # An unforeseen failure costs one track, as a crash does. The log has the traceback.
        traceback.print_exc()
        lines = str(error).splitlines() or [""]
        detail = f"{type(error).__name__}: {lines[0][:200]}"
        return {"kind": "reject", "reason": "decoder_crashed", "detail": detail}, nothing


def _send(
    channel: socket.socket, values: dict[str, Any], samples: memoryview | bytes = b""
) -> None:
    text = json.dumps(values).encode("ascii")
    channel.sendall(FRAME.pack(len(text), len(samples) // 4) + text)
    channel.sendall(samples)


def _receive(channel: socket.socket) -> dict[str, Any] | None:
    """Return the next request, or None if the parent is gone."""
    head = channel.recv(FRAME.size, socket.MSG_WAITALL)
    if len(head) < FRAME.size:
        return None
    text = channel.recv(FRAME.unpack(head)[0], socket.MSG_WAITALL)
    request: dict[str, Any] = json.loads(text)
    return request


if __name__ == "__main__":
    main()
