"""Tests of the cores and the memory that a process may use, on machines and in containers."""

from __future__ import annotations

import gc
import os
import pathlib
import subprocess
import sys
import weakref

import pytest

from components.common import resources

GIB = 1024**3
PHYSICAL = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _root(folder: pathlib.Path, own: str, limits: dict[str, str]) -> str:
    """Write proc and sys/fs/cgroup with this process's group and the limits of groups."""
    (folder / "proc/self").mkdir(parents=True)
    (folder / "proc/self/cgroup").write_text(own)
    for path, text in limits.items():
        file = folder / "sys/fs/cgroup" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")
    return str(folder)


@pytest.mark.parametrize(
    ("own", "limits"),
    [
        # A container with a name space of its own.
        ("0::/\n", {"memory.max": "536870912"}),
        # A service: its own group, or one above it.
        ("0::/a/b\n", {"memory.max": "max", "a/b/memory.max": "536870912"}),
        ("0::/a/b\n", {"a/memory.max": "536870912", "a/b/memory.max": "max"}),
        # Version 1; in a container the path may be the host's.
        ("5:cpu,memory:/docker/1\n", {"memory/memory.limit_in_bytes": "536870912"}),
        ("5:memory:/x\n1:name=systemd:/y\n", {"memory/x/memory.limit_in_bytes": "536870912"}),
    ],
)
def test_a_containers_limit_counts(
    tmp_path: pathlib.Path, own: str, limits: dict[str, str]
) -> None:
    root = _root(tmp_path, own, limits)
    assert resources.limit_bytes(root) == min(PHYSICAL, GIB // 2)
    assert resources.cache_bytes(root) == min(PHYSICAL, GIB // 2) // 4


@pytest.mark.parametrize(
    ("own", "limits"),
    [
        ("0::/\n", {}),
        ("0::/\n", {"memory.max": "max"}),
        ("5:memory:/\n", {"memory/memory.limit_in_bytes": "9223372036854771712"}),
        # Another's group.
        ("0::/a\n", {"b/memory.max": "1"}),
        ("4:cpu:/a\n", {"memory/a/memory.limit_in_bytes": "1"}),
    ],
)
def test_without_a_limit_the_machines_memory_counts(
    tmp_path: pathlib.Path, own: str, limits: dict[str, str]
) -> None:
    assert resources.limit_bytes(_root(tmp_path, own, limits)) == PHYSICAL


def test_a_system_without_control_groups_has_its_memory(tmp_path: pathlib.Path) -> None:
    assert resources.limit_bytes(str(tmp_path)) == PHYSICAL


@pytest.mark.parametrize(
    ("limit", "cache"), [(3 * GIB, 3 * GIB // 4), (4 * GIB, GIB), (64 * GIB, GIB)]
)
def test_a_cache_takes_a_quarter_and_a_gibibyte_at_most(
    monkeypatch: pytest.MonkeyPatch, limit: int, cache: int
) -> None:
    monkeypatch.setattr(resources, "limit_bytes", lambda root: limit)
    assert resources.cache_bytes() == cache


PROGRAM = "from components.common.resources import usable_cores; print(usable_cores())"


def test_no_more_than_the_machine_has() -> None:
    assert 1 <= resources.usable_cores() <= (os.cpu_count() or 1)


@pytest.mark.parametrize("allowed", [1, 2])
def test_a_process_that_is_kept_to_some_cores_counts_those(allowed: int) -> None:
    cores = sorted(os.sched_getaffinity(0))[:allowed]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert int(done.stdout) == len(cores)


def test_released_memory_is_that_of_unreachable_objects() -> None:
    class Node:
        pass

    gc.disable()
    try:
        first, second = Node(), Node()
        first.other, second.other = second, first  # type: ignore[attr-defined]
        gone = weakref.ref(first)
        del first, second
        assert gone() is not None
        resources.release_memory()
        assert gone() is None
    finally:
        gc.enable()


def test_resident_memory_is_what_is_written_to() -> None:
    before = resources.resident_bytes()
    block = bytearray(b"\1") * (100 << 20)
    assert 90 << 20 < resources.resident_bytes() - before < 150 << 20
    del block
