"""Clips in memory, and the batches in which training gets clips. No TensorFlow."""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol

import keras
import numpy as np
import numpy.typing as npt

from components.audio.spectrogram.stored import STORED_DTYPE, from_stored
from components.trainer.augmentation import augment, mix
from components.trainer.settings import AugmentationSettings

NO_AUGMENTATION = AugmentationSettings()


@dataclasses.dataclass(frozen=True)
class Padding:
    """Padding of batches to sizes that several replicas of a network share evenly; see `padded`.

    Attributes:
      replicas: number of replicas.
      genre_weights: weight of each genre's clips, float32 `[genres]`.
      factor: factor of all weights. None for the one that makes each batch's weighted mean that
        of its clips, as gradients need.
    """

    replicas: int
    genre_weights: npt.NDArray[np.float32]
    factor: float | None = None

    def size(self, clips: int) -> int:
        """Return the size that a batch of `clips` is padded to."""
        return -(-clips // self.replicas) * self.replicas

    @classmethod
    def of_epoch(cls, replicas: int, clips: int, batch_size: int, genres: int) -> Padding:
        """Return the padding for means over a whole epoch, in which every clip counts the same.

        Keras's mean over an epoch also counts the repeated clips, and `factor` corrects it.
        """
        plain = cls(replicas, np.ones(genres, np.float32))
        whole, rest = divmod(clips, batch_size)
        filled = whole * plain.size(batch_size) + plain.size(rest)
        return dataclasses.replace(plain, factor=filled / clips)


class Source(Protocol):
    """Labelled inputs of a model, in memory or streamed."""

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """Label of each clip, int64 `[clips]`, in any order."""

    def __len__(self) -> int:
        """Return the number of clips."""

    def batches(
        self,
        batch_size: int,
        *,
        shuffle: tuple[int, int] | None = None,
        augmentation: AugmentationSettings = NO_AUGMENTATION,
        genres: int = 0,
        padding: Padding | None = None,
    ) -> Any:
        """Return one epoch, as Keras's `fit` and `predict` take it.

        Args:
          batch_size: clips in a batch; the last may hold fewer.
          shuffle: a seed and the epoch's number, which decide the order; None for the
            source's own order.
          augmentation: variations of each clip; `shuffle` seeds them too.
          genres: number of genres for targets float32 `[batch, genres]`; 0 for labels int64
            `[batch]`.
          padding: applied last; see `padded`.
        """


@dataclasses.dataclass(frozen=True)
class Clips:
    """A Source in memory: inputs of a model and their labels.

    Attributes:
      inputs: spectrograms `[clips, n_mels, frames]` as they are stored (STORED_DTYPE) or in dB,
        or features `[clips, ...]` of a frozen base.
      labels: int64 `[clips]`, in the same order.
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

    def batches(
        self,
        batch_size: int,
        *,
        shuffle: tuple[int, int] | None = None,
        augmentation: AugmentationSettings = NO_AUGMENTATION,
        genres: int = 0,
        padding: Padding | None = None,
    ) -> Batches:
        """Return one epoch; see Source."""
        return Batches(
            self,
            batch_size,
            shuffle=shuffle,
            augmentation=augmentation,
            genres=genres,
            padding=padding,
        )


class Batches(keras.utils.PyDataset):  # type: ignore[misc]
    """One epoch of Clips: float32 inputs and their labels or targets (see Source).

    Order and augmentation of a batch depend on the seed, the epoch and the batch's number alone.
    """

    def __init__(
        self,
        clips: Clips,
        batch_size: int,
        *,
        shuffle: tuple[int, int] | None,
        augmentation: AugmentationSettings,
        genres: int,
        padding: Padding | None = None,
    ) -> None:
        super().__init__(workers=1, use_multiprocessing=False)
        self._clips = clips
        self._batch_size = batch_size
        self._augmentation = augmentation
        self._genres = genres
        self._padding = padding
        self._shuffle = shuffle
        self._order = np.arange(len(clips))
        if shuffle is not None:
            self._order = np.random.default_rng(_entropy(shuffle)).permutation(len(clips))

    def __len__(self) -> int:
        return -(-len(self._clips) // self._batch_size)

    def __getitem__(self, index: int) -> tuple[npt.NDArray[Any], ...]:
        rows = self._order[index * self._batch_size : (index + 1) * self._batch_size]
        inputs = self._clips.inputs[rows]
        return varied_batch(
            from_stored(inputs) if inputs.dtype == STORED_DTYPE else inputs.astype(np.float32),
            self._clips.labels[rows],
            index,
            self._shuffle,
            self._augmentation,
            self._genres,
            self._padding,
        )


def varied_batch(
    inputs: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64],
    index: int,
    shuffle: tuple[int, int] | None,
    augmentation: AugmentationSettings,
    genres: int,
    padding: Padding | None = None,
) -> tuple[npt.NDArray[Any], ...]:
    """Return batch `index` of an epoch, augmented, with labels or targets; see Source."""
    rng = np.random.default_rng([*_entropy(shuffle), int(index)])
    if augmentation.any:
        inputs = augment(inputs, augmentation, rng)
    targets: npt.NDArray[Any] = labels
    if genres:
        targets = np.eye(genres, dtype=np.float32)[labels]
        if augmentation.mixup:
            inputs, targets = mix(inputs, targets, augmentation.mixup, rng)
    if padding is None:
        return inputs, targets
    return padded(inputs, targets, padding.genre_weights[labels], padding)


def padded(
    inputs: npt.NDArray[np.float32],
    targets: npt.NDArray[Any],
    weights: npt.NDArray[np.float32],
    padding: Padding,
) -> tuple[npt.NDArray[Any], ...]:
    """Return a batch whose size the replicas share evenly.

    If the clips do not divide evenly, the first ones are repeated with weight 0, and the weights
    of the others grow to match. The mean of the replicas' mean losses is then the mean over the
    clips. Otherwise the clips of a smaller share would count more, and a replica without clips
    would have no mean at all.

    Args:
      inputs: `[clips, ...]`.
      targets: labels `[clips]` or targets `[clips, genres]`.
      weights: float32 `[clips]`.
      padding: the padding.

    Returns:
      Inputs, targets and weights float32 `[batch]`.
    """
    clips = len(inputs)
    rows = np.arange(padding.size(clips)) % clips
    padded_weights = weights[rows] * (padding.factor or len(rows) / clips)
    padded_weights[clips:] = 0
    return inputs[rows], targets[rows], padded_weights.astype(np.float32)


def _entropy(shuffle: tuple[int, int] | None) -> list[int]:
    # SeedSequence takes no negative numbers, but settings may hold a negative seed.
    return [part % 2**64 for part in shuffle or (0, 0)]


def unpadded_accuracy(targets: bool) -> keras.metrics.Metric:
    """Return a metric: the share of clips predicted correctly, without those of weight 0.

    Clips of weight 0 are padding. All others count the same.

    Args:
      targets: whether the metric gets targets `[batch, genres]` and not labels `[batch]`.
    """
    kind = keras.metrics.CategoricalAccuracy if targets else keras.metrics.SparseCategoricalAccuracy

    class UnpaddedAccuracy(kind):  # type: ignore[misc, valid-type]
        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
            counted = keras.ops.cast(keras.ops.greater(sample_weight, 0), "float32")
            return super().update_state(y_true, y_pred, sample_weight=counted)

    return UnpaddedAccuracy(name="accuracy")
