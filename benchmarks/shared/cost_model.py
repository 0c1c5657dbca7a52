"""Cost of Beam's jobs by the number of tracks: time, memory, bytes, requests, money.

A job of n tracks on c cores takes

    start + n * (serial + parallel / c)   seconds, but at least   n * fetched / bandwidth,

where `serial` is the work of the submitting process alone (listing, digests, results, duplicates)
and `parallel` that of Beam's workers. The rest is proportional to n. benchmarks.scaling measures
the constants and compares the model with longer runs.
"""

from __future__ import annotations

import dataclasses

HOUR = 3600.0
GB = 1e9


@dataclasses.dataclass(frozen=True)
class Constants:
    """Costs of one job, per track where nothing else is said.

    Attributes:
      start_seconds: of the job, before its first track and after its last one.
      serial_seconds: in the submitting process.
      parallel_seconds: processor time in Beam's workers.
      submitter_bytes: memory in the submitting process.
      worker_bytes: memory of one worker process, whatever the number of tracks.
      fetched_bytes: audio.
      stored_bytes: results.
      reads: requests to an object store that read one object.
      writes: requests that write or list, which cost more.
    """

    start_seconds: float
    serial_seconds: float
    parallel_seconds: float
    submitter_bytes: float
    worker_bytes: float
    fetched_bytes: float
    stored_bytes: float
    reads: float
    writes: float


@dataclasses.dataclass(frozen=True)
class Machines:
    """Machines of one type.

    Attributes:
      name: of the type.
      count: number of machines.
      cores: of each.
      usd_per_hour: price of each.
      network_bytes: bandwidth of each, in bytes per second.
    """

    name: str
    count: int
    cores: int
    usd_per_hour: float
    network_bytes: float


@dataclasses.dataclass(frozen=True)
class Prices:
    """Prices of an object store in USD."""

    per_read: float
    per_write: float
    per_gb_month: float


@dataclasses.dataclass(frozen=True)
class Estimate:
    """Estimate of one job.

    Attributes:
      seconds: from its start to its end.
      bottleneck: what takes the most of them: "workers", "submitter", "network" or "start".
      machine_usd: price of the machines for this time.
      request_usd: price of the requests.
      storage_usd: price of a month of storage of the results.
      submitter_bytes: memory of the submitting process.
      stored_bytes: size of the results.
    """

    seconds: float
    bottleneck: str
    machine_usd: float
    request_usd: float
    storage_usd: float
    submitter_bytes: float
    stored_bytes: float


def estimate(tracks: int, costs: Constants, machines: Machines, prices: Prices) -> Estimate:
    """Return the estimate of a job of `tracks` tracks on some machines."""
    parts = {
        "workers": tracks * costs.parallel_seconds / (machines.count * machines.cores),
        "network": tracks * costs.fetched_bytes / (machines.count * machines.network_bytes),
        "submitter": tracks * costs.serial_seconds,
        "start": costs.start_seconds,
    }
    # Workers decode while others fetch; the submitter's work comes before and after.
    seconds = max(parts["workers"], parts["network"]) + parts["submitter"] + parts["start"]
    return Estimate(
        seconds=seconds,
        bottleneck=max(parts, key=lambda name: parts[name]),
        machine_usd=machines.count * machines.usd_per_hour * seconds / HOUR,
        request_usd=tracks * (costs.reads * prices.per_read + costs.writes * prices.per_write),
        storage_usd=tracks * costs.stored_bytes / GB * prices.per_gb_month,
        submitter_bytes=tracks * costs.submitter_bytes,
        stored_bytes=tracks * costs.stored_bytes,
    )
