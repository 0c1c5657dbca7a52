"""Input of `genreflow predict` that is no file: standard input, <(...) of a shell, named pipes.

Decoders need files, because they seek, and they run in other processes, where /dev/stdin is
another one. So such input is copied first, within limits.
"""

from __future__ import annotations

import errno
import os
import pathlib
import re
import select
import stat
import time

MAX_BYTES = 1 << 30
# A writer that sends nothing for so long, or is still sending after so long, is given up.
MAX_IDLE_SECONDS = 60.0
MAX_SECONDS = 3600.0

_BLOCK_BYTES = 1 << 20
_STANDARD_INPUT = ("-", "/dev/stdin")
_DESCRIPTOR = re.compile(r"/(?:dev|proc/self)/fd/([0-9]{1,9})")


def is_piped(path: str) -> bool:
    """Return whether an argument is an open descriptor or a pipe, and must be copied."""
    if _descriptor(path) is not None:
        return True
    try:
        return stat.S_ISFIFO(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def copy(path: str, destination: pathlib.Path) -> None:
    """Copy piped input to a file.

    Raises:
      OSError: it cannot be read, or is too long or too slow; the text says so.
    """
    given = _descriptor(path)
    # Named pipes: opening one would wait for a writer without a limit.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK) if given is None else os.dup(given)
    try:
        if os.isatty(descriptor):
            raise OSError(errno.EINVAL, "it is a terminal; name a file, or pipe one into it")
        with destination.open("wb") as out:
            _copy(descriptor, out.fileno())
    finally:
        os.close(descriptor)


def _copy(source: int, destination: int) -> None:
    poller = select.poll()
    poller.register(source, select.POLLIN)
    deadline = time.monotonic() + MAX_SECONDS
    copied = 0
    while True:
        if not poller.poll(MAX_IDLE_SECONDS * 1000):
            raise OSError(errno.ETIMEDOUT, f"nothing came for {MAX_IDLE_SECONDS:.0f} s")
        if time.monotonic() > deadline:
            raise OSError(errno.ETIMEDOUT, f"it did not end within {MAX_SECONDS:.0f} s")
        try:
            block = os.read(source, _BLOCK_BYTES)
        except BlockingIOError:  # another reader was faster
            continue
        if not block:
            return
        copied += len(block)
        if copied > MAX_BYTES:
            raise OSError(errno.EFBIG, f"it has more than {MAX_BYTES >> 20} MiB; name a file")
        while block:
            block = block[os.write(destination, block) :]


def _descriptor(path: str) -> int | None:
    if path in _STANDARD_INPUT:
        return 0
    found = _DESCRIPTOR.fullmatch(path)
    return int(found[1]) if found else None
