"""How many processor cores this process may use."""

from __future__ import annotations


def usable_cores() -> int:
    """The machine's cores, less what affinity or a container's limit takes away; at least 1.

    In a container with a limit of two cores the machine's own count may be 64, and as many
    threads would wait for each other.
    """
    from joblib import cpu_count  # knows control groups; a third of a second

    return int(cpu_count())
