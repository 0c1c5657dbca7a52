"""CPU cores and memory that this process may use, and the return of memory to the system."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import pathlib

# FMA small's 25,600 training clips of 22 kB (0.57 GB) fit. The limit is the same on every machine
# of 4 GiB or more, so that these hold the same clips and shuffle them in the same way.
MAX_CACHE_BYTES = 1024**3

# Smaller machines give a cache one part in four. The network and TensorFlow need the rest.
MIN_MEMORY_PER_CACHE = 4


def resident_bytes() -> int:
    """Return the memory that this process occupies, in bytes; 0 where Linux's /proc is missing."""
    try:
        pages = pathlib.Path("/proc/self/statm").read_text("ascii").split()[1]
    except OSError:
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def release_memory() -> None:
    """Free unreachable objects, and return free heap memory to the system.

    Networks are in reference cycles, and glibc keeps free memory between blocks in use. In a
    process that has imported TFX this takes half a second.
    """
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # not glibc
        ctypes.CDLL(None).malloc_trim(0)


def usable_cores() -> int:
    """Return the number of cores within affinity and a container's limit, at least 1.

    In a container with a limit of two cores the machine may have 64, and as many threads would
    wait for each other.
    """
    from joblib import cpu_count  # knows control groups; a third of a second

    return int(cpu_count())


def cache_bytes(root: str = "/") -> int:
    """Return the size of one cache at most: 1 GiB, or a quarter of the memory if that is less."""
    return min(MAX_CACHE_BYTES, limit_bytes(root) // MIN_MEMORY_PER_CACHE)


def limit_bytes(root: str = "/") -> int:
    """Return the machine's memory, or the limit of its control group (container) if lower.

    Args:
      root: folder of proc and sys/fs/cgroup.
    """
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    groups = pathlib.Path(root, "sys/fs/cgroup")
    limits = [physical]
    for name, own in _own_groups(pathlib.Path(root, "proc/self/cgroup")):
        # A group's limit also holds for the groups in it. In a container the file may name the
        # host's path, which does not exist there; the first folder is then the container's own.
        base, file = (
            (groups, "memory.max") if name == "" else (groups / name, "memory.limit_in_bytes")
        )
        for folder in (base, *(base.joinpath(*own[:end]) for end in range(1, len(own) + 1))):
            limits.append(_number(folder / file, physical))
    return min(limits)


def _own_groups(path: pathlib.Path) -> list[tuple[str, list[str]]]:
    """Return the path of this process's group, for version 2 ("") and version 1 ("memory")."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return []
    found = []
    for line in lines:
        _, controllers, own = line.split(":", 2)
        if controllers == "" or "memory" in controllers.split(","):
            name = "memory" if controllers else ""
            found.append((name, [part for part in own.split("/") if part not in ("", "..")]))
    return found


def _number(path: pathlib.Path, default: int) -> int:
    try:
        text = path.read_text(encoding="utf-8").strip()
    except OSError:
        return default
    return int(text) if text.isdigit() else default  # "max"
