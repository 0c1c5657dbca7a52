"""Features of a frozen base, computed once: in memory, or on disk if they are large."""

from __future__ import annotations

import contextlib
import hashlib
import math
import operator
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from components.common import resources
from components.trainer.batches import Clips, Source
from components.trainer.callbacks import REPORT_INTERVAL_SECONDS, Reporter

# Limit for both splits together on disk, if resources.cache_bytes() is too small for them. 25,600
# clips have 2.6 GB of features of VGG16 at 224 pixels.
MAX_DISK_BYTES = 16 * 1024**3

# Largest share of the free disk. Checkpoints and other programs need the rest.
MAX_FREE_DISK_SHARE = 0.5

_FEATURE_BYTES = 4


def compute_features(
    base: keras.Model,
    sources: dict[str, Source],
    *,
    batch_size: int,
    scratch_dir: str | None,
    report: Reporter,
) -> dict[str, Clips] | None:
    """Return the features of each source with their labels; None if they fit nowhere.

    A frozen base gives the same features in every epoch, so one pass is enough.

    Args:
      base: frozen, and so in inference mode.
      sources: by name; read once, in their own order.
      batch_size: clips that go through the base at once.
      scratch_dir: folder for features that do not fit into memory; None for the system's
        folder of temporary files. Their file has no name, so it disappears with this process.
      report: receives the progress, as phase "features".
    """
    shape = tuple(base.output_shape[1:])
    clips = {name: len(source) for name, source in sources.items()}
    needed = sum(clips.values()) * math.prod(shape) * _FEATURE_BYTES
    in_memory = needed <= resources.cache_bytes()
    if not in_memory:
        folder = scratch_dir or tempfile.gettempdir()
        if needed > min(MAX_DISK_BYTES, MAX_FREE_DISK_SHARE * shutil.disk_usage(folder).free):
            return None
    progress = _Progress(sum(-(-count // batch_size) for count in clips.values()), report)
    found = {}
    for name, source in sources.items():
        if in_memory:
            features = np.empty((clips[name], *shape), np.float32)
        else:
            features = _on_disk((clips[name], *shape), folder)
        labels = np.empty(clips[name], np.int64)
        filled = 0
        for inputs, of_batch in _batches(source.batches(batch_size)):
            # Each of several replicas predicts the whole batch, and the results are concatenated.
            computed = base.predict_on_batch(inputs)[: len(of_batch)]
            features[filled : filled + len(computed)] = computed
            labels[filled : filled + len(computed)] = of_batch
            filled += len(computed)
            progress.advance()
        found[name] = Clips(features, labels)
    return found


class FeatureCache:
    """Cache of one frozen base's features, for several trainings.

    A training with another base or other clips replaces the features.

    The bits of a feature may depend on how many clips go through the base at once, and a
    search's trials differ in their batch sizes. With one size for the base, all trials get the
    same features, no matter which of them computed these.
    """

    def __init__(self, batch_size: int) -> None:
        """Initialize an empty cache.

        Args:
          batch_size: clips that go through the base at once, in all trainings.
        """
        self._batch_size = batch_size
        self._base = ""
        self._sources: list[Source] = []
        self._found: dict[str, Clips] | None = None

    def of(
        self,
        base: keras.Model,
        sources: dict[str, Source],
        *,
        scratch_dir: str | None,
        report: Reporter,
    ) -> dict[str, Clips] | None:
        """Return the features of each source; see compute_features."""
        base_digest = _digest(base)
        same = self._base == base_digest and len(self._sources) == len(sources)
        same = same and all(map(operator.is_, self._sources, sources.values()))
        if self._found is None or not same:
            self._found = None  # free the memory before as much is taken again
            self._found = compute_features(
                base,
                sources,
                batch_size=self._batch_size,
                scratch_dir=scratch_dir,
                report=report,
            )
            self._base, self._sources = base_digest, list(sources.values())
        return self._found


def _digest(base: keras.Model) -> str:
    """Return a digest of a base's weights and of its precision."""
    found = hashlib.sha256(base.dtype_policy.name.encode())
    for array in base.get_weights():
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()


def _on_disk(shape: tuple[int, ...], folder: str) -> npt.NDArray[np.float32]:
    handle, path = tempfile.mkstemp(prefix=".features-", dir=folder)
    os.close(handle)
    try:
        return np.memmap(path, np.float32, "w+", shape=shape)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(path)


def _batches(epoch: Any) -> Iterator[Any]:
    if isinstance(epoch, keras.utils.PyDataset):
        for index in range(len(epoch)):
            yield epoch[index]
    else:
        yield from epoch


class _Progress:
    """Sender of the pass's progress, at most once each REPORT_INTERVAL_SECONDS, and of its end."""

    def __init__(self, batches: int, report: Reporter) -> None:
        self._batches = batches
        self._report = report
        self._done = 0
        self._reported = -math.inf

    def advance(self) -> None:
        self._done += 1
        now = time.monotonic()
        if now - self._reported >= REPORT_INTERVAL_SECONDS or self._done >= self._batches:
            self._reported = now
            self._report(
                phase="features",
                epoch=1,
                epochs=1,
                batch=self._done,
                batches=self._batches,
            )
