"""The process that decodes: `python -m components.audio.decoding.decode_server SECONDS MIB`.

Its parent (components.audio.decoding.isolation) talks to it through a socket that is its standard
input. Messages both ways are a frame of two lengths, JSON, and raw float32 samples: nothing
that an audio file could influence is ever executed or unpickled. One request at a time:
{"task": ..., its arguments}; answered by {"kind": "done", "values": ...} and the samples,
{"kind": "reject", "reason": ..., "detail": ...}, or {"kind": "output", "detail": ...} where
something could not be written. First of all it says {"kind": "ready"}, or "unavailable".

It ends when its parent does, however that ends. What it may take is bounded by the
kernel: memory by a limit on its address space, time by a timer that is set anew for each
request (the parent watches the clock too; the timer counts where there is no parent left).
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
    from components.audio.decoding.decode_tasks import Answer

# Bytes of JSON, number of samples; little-endian.
FRAME = struct.Struct("<IQ")
# Paths are at most 4 KiB, and JSON makes at most 6 bytes of each.
MAX_JSON_BYTES = 1 << 20
# The parent, if there is one, is to notice first.
GRACE_SECONDS = 5.0
MIB = 1 << 20


def main(tasks: Mapping[str, Callable[..., Answer]] | None = None) -> None:
    """Serves until the other end of the socket is closed.

    Args:
      tasks: what can be asked for; None is components.audio.decoding.decode_tasks.TASKS.
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
    """The socket, away from the descriptors that libraries write and read by number."""
    channel = socket.socket(fileno=os.dup(0))
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    os.dup2(2, 1)
    os.close(nowhere)
    return channel


def _limit_memory(more_bytes: int) -> None:
    """Lets the address space grow by so much from here; and no core files."""
    with open("/proc/self/statm", encoding="ascii") as file:
        pages = int(file.read().split()[0])
    most = pages * resource.getpagesize() + more_bytes
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _perform(
    task: Callable[..., Answer], arguments: dict[str, Any]
) -> tuple[dict[str, Any], memoryview]:
    """Header and samples of the answer."""
    from components.audio.decoding.decode import DecodeError, too_large
    from components.audio.decoding.decode_tasks import OutputError

    nothing = memoryview(b"")
    try:
        try:
            answer = task(**arguments)
        except MemoryError as error:
            raise too_large() from error
        samples = answer.samples.data.cast("B") if len(answer.samples) else nothing
        return {"kind": "done", "values": answer.values}, samples
    except DecodeError as error:
        return {"kind": "reject", "reason": error.reason, "detail": error.detail}, nothing
    except OutputError as error:
        return {"kind": "output", "detail": str(error)}, nothing
    except Exception as error:
        # A file that makes the decoder fail in a way that nobody thought of must not end
        # the run any more than a crash; the log has all of it.
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
    """The next request; None once there is no parent."""
    head = channel.recv(FRAME.size, socket.MSG_WAITALL)
    if len(head) < FRAME.size:
        return None
    text = channel.recv(FRAME.unpack(head)[0], socket.MSG_WAITALL)
    request: dict[str, Any] = json.loads(text)
    return request


if __name__ == "__main__":
    main()
