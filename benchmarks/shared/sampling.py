"""Samples of running processes: time, processor time, memory, and the work that is done."""

from __future__ import annotations

import contextlib
import json
import pathlib
import subprocess
import time
from collections.abc import Iterator
from typing import NamedTuple

import psutil

SAMPLE_SECONDS = 0.5


class Sample(NamedTuple):
    """Sample of a running process and its children.

    Attributes:
      clock: seconds.
      cpu: processor seconds so far.
      memory: proportional share of the memory (PSS), in bytes. Other programs that map the same
        libraries make it smaller.
      anonymous: the part of it that is no mapped file, which other programs do not change.
      tracks: number of tracks done so far.
    """

    clock: float
    cpu: float
    memory: int
    anonymous: int
    tracks: int


def watch(process: subprocess.Popen[bytes], events: pathlib.Path) -> Iterator[Sample]:
    """Sample a process and its children until it ends.

    Args:
      process: the process.
      events: its events (components.common.progress), which tell the tracks.
    """
    spent: dict[tuple[int, float], float] = {}
    root = psutil.Process(process.pid)
    tracks = 0
    with events.open() as lines:
        while process.poll() is None:
            memory = anonymous = 0
            for member in [root, *root.children(recursive=True)]:
                with contextlib.suppress(psutil.Error, OSError):
                    times = member.cpu_times()
                    spent[member.pid, member.create_time()] = times.user + times.system
                    memory += pss_bytes(member.pid)
                    anonymous += pss_bytes(member.pid, "Pss_Anon")
            for line in lines:
                event = json.loads(line)
                tracks = max(tracks, event["event"] == "progress" and event.get("done", 0))
            yield Sample(time.monotonic(), sum(spent.values()), memory, anonymous, tracks)
            time.sleep(SAMPLE_SECONDS)


def pss_bytes(pid: int, part: str = "Pss") -> int:
    """Return the proportional share of a process's memory, or a part of it such as "Pss_Anon"."""
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(f"{part}:"):
            return 1024 * int(line.split()[1])
    return 0
