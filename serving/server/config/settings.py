"""What a server is told: its models, how versions are chosen, and its limits."""

from __future__ import annotations

import dataclasses
import pathlib
import re
from collections.abc import Mapping
from typing import Literal


@dataclasses.dataclass(frozen=True)
class VersionPolicy:
    """Which versions of a model are served (ServableVersionPolicy of TensorFlow Serving).

    `kind`: "latest" keeps the `count` highest, "all" every complete one, "specific" those of
    `versions`.
    """

    kind: Literal["latest", "all", "specific"] = "latest"
    count: int = 1
    versions: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.kind == "latest" and self.count < 1:
            raise ValueError(f"a policy of the latest {self.count} versions serves none")
        if self.kind == "specific" and not self.versions:
            raise ValueError("a policy of specific versions names none")


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """One model: `base_path` holds a folder for each version, named by its number."""

    name: str
    base_path: pathlib.Path
    policy: VersionPolicy = VersionPolicy()
    labels: Mapping[str, int] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Batching:
    """Requests of equal shapes run as one (the fields of TensorFlow Serving's
    BatchingParameters).

    `max_batch_size`: rows in one run. `batch_timeout_s`: how long the first request waits for
    others. `max_enqueued_batches`: full batches that may wait before requests are refused.
    """

    max_batch_size: int = 16
    batch_timeout_s: float = 0.002
    max_enqueued_batches: int = 16


@dataclasses.dataclass(frozen=True)
class Limits:
    """What one request, and all of them together, may ask for.

    `waveform_samples`: samples in one request, all rows together. `rows`: the first dimension
    of any input. `concurrent`: requests in work or waiting, further ones are UNAVAILABLE.
    """

    message_bytes: int = 64 << 20
    waveform_samples: int = 16_000_000
    rows: int = 4096
    concurrent: int = 64


# What goes into a URL, a log line and a metric without quoting.
MODEL_NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}", re.ASCII)
