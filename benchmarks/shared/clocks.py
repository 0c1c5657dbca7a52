"""Clocks for comparing ways of doing the same work on one machine."""

from __future__ import annotations

import dataclasses
import itertools
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import psutil

Item = TypeVar("Item")


@dataclasses.dataclass(frozen=True)
class Taken:
    """Medians of the calls of one way.

    Attributes:
      wall_ms: from a call to its return, other programs' work included.
      cpu_ms: processor time of all threads of this process and of the processes it started.
    """

    wall_ms: float
    cpu_ms: float


def cpu_seconds(children: Sequence[int]) -> float:
    """Return the processor time so far of this process and of children, given by their ids."""
    # Linux's id of another process's clock: clock_getcpuclockid(3).
    return time.process_time() + sum(time.clock_gettime(~pid << 3 | 2) for pid in children)


def compare(
    ways: Mapping[str, Callable[[Item], object]], items: Sequence[Item], repeats: int
) -> dict[str, Taken]:
    """Call every way on every item, and return the medians by name.

    The ways take turns on each item, and another one begins each time, so that they find the same
    caches and the same load on the machine. A way that works ahead in the background while others
    run would still hide that work from both clocks, so it must not.

    Args:
      ways: functions by name.
      items: arguments, in the order in which each way gets them.
      repeats: of the measurement, after one that builds caches.
    """
    wall: dict[str, list[float]] = {name: [] for name in ways}
    cpu: dict[str, list[float]] = {name: [] for name in ways}
    names = list(ways)
    first = itertools.cycle(range(len(names)))
    for repeat in range(repeats + 1):
        for item in items:
            begin = next(first)
            for name in names[begin:] + names[:begin]:
                # Finding them takes milliseconds.
                children = [child.pid for child in psutil.Process().children(recursive=True)]
                begun, cpu_begun = time.perf_counter(), cpu_seconds(children)
                ways[name](item)
                cpu_ended, ended = cpu_seconds(children), time.perf_counter()
                if repeat:
                    wall[name].append(ended - begun)
                    cpu[name].append(cpu_ended - cpu_begun)
    return {
        name: Taken(1000 * statistics.median(wall[name]), 1000 * statistics.median(cpu[name]))
        for name in ways
    }
