"""How many cores a process may use."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from components.common.cpu import usable_cores

PROGRAM = "from components.common.cpu import usable_cores; print(usable_cores())"


def test_no_more_than_the_machine_has() -> None:
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)


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
