"""Checks of this machine: memory, disks and ports."""

from __future__ import annotations

import concurrent.futures
import errno
import os
import pathlib
import shutil
import socket
import tempfile
from collections.abc import Callable, Sequence

from components.common.resources import MAX_CACHE_BYTES, MIN_MEMORY_PER_CACHE, limit_bytes
from pipeline.prepare.finding import OK, PROBLEM, WARNING, Finding

# gRPC and REST of `genreflow serve` and of TensorFlow Serving.
SERVER_PORTS = (8500, 8501)
# Decoded tracks, downloads of objects and the serving check's copy of a model are there.
MIN_SCRATCH_BYTES = 10**9
# Below this, caches are smaller than on other machines (components.common.resources).
MIN_MEMORY_BYTES = MAX_CACHE_BYTES * MIN_MEMORY_PER_CACHE


def check_memory(root: str = "/") -> Finding:
    """Check the memory of the machine, or of its container.

    Args:
      root: folder of proc and sys/fs/cgroup.
    """
    memory = limit_bytes(root)
    text = f"{memory / 2**30:.1f} GiB"
    if memory >= MIN_MEMORY_BYTES:
        return Finding("memory", OK, text)
    return Finding(
        "memory",
        WARNING,
        f"{text}; runs need some {MIN_MEMORY_BYTES / 2**30:.0f} GiB: give the machine or the "
        "container more, or train small networks alone (cnn_small, ffnn)",
    )


def check_disks(work_dir: str, needed_bytes: int) -> list[Finding]:
    """Check the free space for the work folder and for temporary files.

    Args:
      work_dir: the work folder, which need not exist.
      needed_bytes: size of a run's output.
    """
    folder = pathlib.Path(work_dir).absolute()
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    text = f"{free / 1e9:.1f} GB free in {folder}"
    if not os.access(folder, os.W_OK):
        why = f"{folder} cannot be written to; choose another --work-dir"
        work = Finding("disk", PROBLEM, why)
    elif free < needed_bytes:
        why = f"{text}, but even a small run needs {needed_bytes / 1e9:.1f} GB; free some space"
        work = Finding("disk", PROBLEM, f"{why}, or choose another --work-dir")
    else:
        work = Finding("disk", OK, text)
    scratch = tempfile.gettempdir()
    free = shutil.disk_usage(scratch).free
    text = f"{free / 1e9:.1f} GB free in {scratch}, for temporary files"
    if free >= MIN_SCRATCH_BYTES:
        return [work, Finding("scratch", OK, text)]
    return [work, Finding("scratch", WARNING, f"{text}; name a larger folder by TMPDIR")]


def check_ports(
    ports: Sequence[int] = SERVER_PORTS, holder: Callable[[int], str] = lambda port: ""
) -> Finding:
    """Check that a model server can listen at its default ports.

    Args:
      ports: the ports.
      holder: returns the words for a model server of ours that answers at a taken port, or "".
    """
    taken = {port: reason for port in ports if (reason := _refused(port))}
    if not taken:
        return Finding("ports", OK, f"{' and '.join(map(str, ports))} are free")
    with concurrent.futures.ThreadPoolExecutor(len(taken)) as pool:
        holders = dict(zip(taken, pool.map(holder, taken), strict=True))
    text = "; ".join(f"{port}: {holders[port] or reason}" for port, reason in taken.items())
    elsewhere = "genreflow serve --model-dir FOLDER --port 0 --rest-port 0"
    if all(holders.values()):
        return Finding("ports", OK, f"{text}; a second server needs other ports", elsewhere)
    return Finding(
        "ports",
        WARNING,
        f"{text}; stop what listens there, or let the server choose",
        elsewhere,
    )


def _refused(port: int) -> str:
    """Return why nobody can listen at a port of the loopback interface, or ""."""
    with socket.socket() as listening:
        # As servers do, so that a connection that was just closed is in nobody's way.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(("127.0.0.1", port))
            listening.listen(1)
        except OSError as error:
            used = error.errno == errno.EADDRINUSE
            return "in use" if used else (error.strerror or str(error)).lower()
    return ""
