"""Plain settings: models, version policies, batching and limits."""

from __future__ import annotations

import dataclasses
import pathlib
import re
from collections.abc import Mapping
from typing import Literal

# Needs no quoting in a URL, a log line or a metric.
MODEL_NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}", re.ASCII)


@dataclasses.dataclass(frozen=True)
class VersionPolicy:
    """Rule for the versions of a model to serve (TensorFlow Serving's ServableVersionPolicy).

    Attributes:
      kind: "latest" serves the `count` highest versions, "all" every complete one, "specific"
        those in `versions`.
      count: number of versions for "latest".
      versions: version numbers for "specific".
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
    """Configuration of one model.

    Attributes:
      name: the name in requests.
      base_path: folder with one subfolder per version, named by the version's number.
      policy: the versions to serve.
      labels: label to version number.
    """

    name: str
    base_path: pathlib.Path
    policy: VersionPolicy = VersionPolicy()
    labels: Mapping[str, int] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Batching:
    """Settings for running requests of equal shapes as one batch.

    The fields are those of TensorFlow Serving's BatchingParameters.

    Attributes:
      max_batch_size: rows in one batch.
      batch_timeout_s: seconds that the first request of a batch waits for others.
      max_enqueued_batches: full batches that may wait before requests are rejected.
    """

    max_batch_size: int = 16
    batch_timeout_s: float = 0.002
    max_enqueued_batches: int = 16


@dataclasses.dataclass(frozen=True)
class Limits:
    """Limits on one request, and on all requests together.

    Attributes:
      message_bytes: size of one request.
      waveform_samples: samples in one request, over all rows.
      rows: first dimension of any input.
      concurrent: requests in progress or waiting; further ones are UNAVAILABLE.
    """

    message_bytes: int = 64 << 20
    waveform_samples: int = 16_000_000
    rows: int = 4096
    concurrent: int = 64
