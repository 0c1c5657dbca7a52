"""Clips in memory, and the batches that training takes from them. No TensorFlow."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from components.audio.stored import STORED_DTYPE, from_stored


@dataclasses.dataclass(frozen=True)
class Clips:
    """Inputs of a model and their labels, in one order.

    `inputs` is `[clips, ...]`: spectrograms `[clips, n_mels, frames]` as they are stored
    (STORED_DTYPE) or in dB, or the features of a frozen base; `labels` is int64 `[clips]`.
    """

    inputs: npt.NDArray[np.uint16] | npt.NDArray[np.floating[Any]]
    labels: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        if len(self.inputs) != len(self.labels) or self.labels.ndim != 1:
            raise ValueError(
                f"{len(self.inputs)} clips with labels of shape {self.labels.shape}: there must "
                "be one label for each clip"
            )

    def __len__(self) -> int:
        return len(self.labels)


class Batches(keras.utils.PyDataset):  # type: ignore[misc]
    """float32 inputs (spectrograms in dB) and labels, `batch_size` at a time.

    The last batch may be smaller.

    With a `shuffle_seed` each epoch has an order of its own, a function of the seed and
    of the epoch's number alone; without one, every epoch has the clips' own order.
    """

    def __init__(self, clips: Clips, batch_size: int, *, shuffle_seed: int | None = None) -> None:
        super().__init__(workers=1, use_multiprocessing=False)
        self._clips = clips
        self._batch_size = batch_size
        self._shuffle_seed = shuffle_seed
        self._epoch = 0
        self._order = self._order_of_epoch()

    def __len__(self) -> int:
        return -(-len(self._clips) // self._batch_size)

    def __getitem__(self, index: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        rows = self._order[index * self._batch_size : (index + 1) * self._batch_size]
        inputs = self._clips.inputs[rows]
        if inputs.dtype == STORED_DTYPE:
            return from_stored(inputs), self._clips.labels[rows]
        return inputs.astype(np.float32), self._clips.labels[rows]

    def on_epoch_end(self) -> None:
        self._epoch += 1
        self._order = self._order_of_epoch()

    def _order_of_epoch(self) -> npt.NDArray[np.int64]:
        if self._shuffle_seed is None:
            return np.arange(len(self._clips))
        # SeedSequence takes whole numbers from 0; a negative seed is as good as any.
        seed = [self._shuffle_seed % 2**64, self._epoch]
        return np.random.default_rng(seed).permutation(len(self._clips))
