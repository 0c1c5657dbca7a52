"""How much memory clips and features may take. No TensorFlow, no Keras."""

from __future__ import annotations

import os
import pathlib

# FMA small's 25,600 training clips of 22 kB (0.57 GB) fit. A constant wherever there are
# 4 GiB, so that the same clips are held, and shuffled alike, on every usual machine.
CACHE_BYTES = 1024**3

# In smaller containers the network and TensorFlow need the rest.
MEMORY_SHARE = 4


def cache_bytes(root: str = "/") -> int:
    """Bytes that one cache may take: 1 GiB, or a quarter of the memory if that is less."""
    return min(CACHE_BYTES, limit_bytes(root) // MEMORY_SHARE)


def limit_bytes(root: str = "/") -> int:
    """The machine's memory, or its control group's limit (a container's) where that is lower.

    Args:
      root: where /proc and /sys/fs/cgroup lie.
    """
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    groups = pathlib.Path(root, "sys/fs/cgroup")
    limits = [physical]
    for name, own in _own_groups(pathlib.Path(root, "proc/self/cgroup")):
        # A limit holds for all below it. Inside a container the file may tell the host's
        # path, which is not there: the first folder is then the container's own.
        base, file = (
            (groups, "memory.max") if name == "" else (groups / name, "memory.limit_in_bytes")
        )
        for folder in (base, *(base.joinpath(*own[:end]) for end in range(1, len(own) + 1))):
            limits.append(_number(folder / file, physical))
    return min(limits)


def _own_groups(path: pathlib.Path) -> list[tuple[str, list[str]]]:
    """Of version 2 ("") and of version 1 ("memory"), the parts of this process's group."""
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
