"""What a frozen base makes of the clips, computed once: in memory, or on disk if it is much."""

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

from components.common import memory
from components.trainer.batches import Clips, Source
from components.trainer.callbacks import REPORT_INTERVAL_SECONDS, Reporter

# Both splits together, where memory.cache_bytes() is too little: 25,600 clips through
# VGG16 at 224 pixels are 2.6 GB.
DISK_BYTES = 16 * 1024**3

# Of the free disk; the rest is for the checkpoints and for what else runs there.
FREE_DISK_SHARE = 0.5

_FEATURE_BYTES = 4


def compute_features(
    base: keras.Model,
    sources: dict[str, Source],
    *,
    batch_size: int,
    scratch_dir: str | None,
    report: Reporter,
) -> dict[str, Clips] | None:
    """The features of each source with their labels; None where they fit nowhere.

    A frozen base gives the same features in every epoch: one pass is enough.

    Args:
      base: in inference mode: frozen.
      sources: by name; read once, in their own order.
      batch_size: clips that go through the base at once.
      scratch_dir: where features that do not fit into memory are kept; None for
        the system's folder of temporary files. The file has no name: it is gone with
        this process, however that ends.
      report: takes the progress, phase "features".
    """
    shape = tuple(base.output_shape[1:])
    clips = {name: len(source) for name, source in sources.items()}
    needed = sum(clips.values()) * math.prod(shape) * _FEATURE_BYTES
    in_memory = needed <= memory.cache_bytes()
    if not in_memory:
        folder = scratch_dir or tempfile.gettempdir()
        if needed > min(DISK_BYTES, FREE_DISK_SHARE * shutil.disk_usage(folder).free):
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
            # Of several replicas each takes the whole batch, and their answers follow each other.
            made = base.predict_on_batch(inputs)[: len(of_batch)]
            features[filled : filled + len(made)] = made
            labels[filled : filled + len(made)] = of_batch
            filled += len(made)
            progress.advance()
        found[name] = Clips(features, labels)
    return found


class FeatureCache:
    """The features of one frozen base, for several trainings: computed by the first of them,
    and anew by one whose base or clips are not the same.

    A search's trials have their own batch sizes, and the bits of a feature may depend on how
    many clips went through the base at once. With one size for all, a trial gets the same
    features whether an earlier one has computed them or this one does.
    """

    def __init__(self, batch_size: int) -> None:
        """`batch_size`: clips that go through the base at once, whoever trains."""
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
        """See compute_features."""
        base_digest = _digest(base)
        same = self._base == base_digest and len(self._sources) == len(sources)
        same = same and all(map(operator.is_, self._sources, sources.values()))
        if self._found is None or not same:
            self._found = None  # before its successor takes as much memory again
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
    """Of all weights, and of the precision that they compute in."""
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
    """Tells how far the pass is, at most once each REPORT_INTERVAL_SECONDS, and its end."""

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
