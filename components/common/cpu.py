"""The number of processor cores that this process may use."""

from __future__ import annotations


def usable_cores() -> int:
    """Return the number of cores within affinity and a container's limit, at least 1.

    In a container with a limit of two cores the machine may have 64, and as many threads would
    wait for each other.
    """
    from joblib import cpu_count  # knows control groups; a third of a second

    return int(cpu_count())
