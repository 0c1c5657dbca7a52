"""Clips in memory, and the batches that training takes from them. No TensorFlow."""

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
class Sharing:
    """For batches that several replicas of a network share evenly; see `shared`.

    `genre_weights`: float32 `[genres]`, what the clips of each genre count. `factor`: what
    all weights are multiplied with; None for what makes each batch's mean right, which
    is what its gradients need.
    """

    replicas: int
    genre_weights: npt.NDArray[np.float32]
    factor: float | None = None

    def size(self, clips: int) -> int:
        """How many clips a batch of so many is filled up to."""
        return -(-clips // self.replicas) * self.replicas

    @classmethod
    def of_epoch(cls, replicas: int, clips: int, batch_size: int, genres: int) -> Sharing:
        """For figures of a whole epoch, in which every clip counts alike: Keras takes the
        mean over all that the batches hold, repeated clips among them."""
        plain = cls(replicas, np.ones(genres, np.float32))
        whole, rest = divmod(clips, batch_size)
        filled = whole * plain.size(batch_size) + plain.size(rest)
        return dataclasses.replace(plain, factor=filled / clips)


class Source(Protocol):
    """Labelled inputs of a model, in memory or streamed. `labels`: int64 `[clips]`, one for
    each clip, in any order."""

    @property
    def labels(self) -> npt.NDArray[np.int64]: ...

    def __len__(self) -> int: ...

    def batches(
        self,
        batch_size: int,
        *,
        shuffle: tuple[int, int] | None = None,
        augmentation: AugmentationSettings = NO_AUGMENTATION,
        genres: int = 0,
        sharing: Sharing | None = None,
    ) -> Any:
        """One epoch, as Keras's `fit` and `predict` take it.

        Args:
          batch_size: clips in a batch; the last may hold fewer.
          shuffle: a seed and the epoch's number, which decide the order; None for the
            source's own.
          augmentation: applied to each clip, decided by `shuffle` too.
          genres: above 0, targets are float32 `[batch, genres]` in place of labels
            int64 `[batch]`.
          sharing: see `shared`, which is then applied last.
        """


@dataclasses.dataclass(frozen=True)
class Clips:
    """Inputs of a model and their labels, in one order: a Source in memory.

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

    def batches(
        self,
        batch_size: int,
        *,
        shuffle: tuple[int, int] | None = None,
        augmentation: AugmentationSettings = NO_AUGMENTATION,
        genres: int = 0,
        sharing: Sharing | None = None,
    ) -> Batches:
        """See Source."""
        return Batches(
            self,
            batch_size,
            shuffle=shuffle,
            augmentation=augmentation,
            genres=genres,
            sharing=sharing,
        )


class Batches(keras.utils.PyDataset):  # type: ignore[misc]
    """One epoch of Clips: float32 inputs and their labels or targets (see Source).

    Order and augmentation of a batch are a function of the seed, the epoch and the
    batch's number alone, whoever asks for it and when.
    """

    def __init__(
        self,
        clips: Clips,
        batch_size: int,
        *,
        shuffle: tuple[int, int] | None,
        augmentation: AugmentationSettings,
        genres: int,
        sharing: Sharing | None = None,
    ) -> None:
        super().__init__(workers=1, use_multiprocessing=False)
        self._clips = clips
        self._batch_size = batch_size
        self._augmentation = augmentation
        self._genres = genres
        self._sharing = sharing
        self._shuffle = shuffle
        self._order = np.arange(len(clips))
        if shuffle is not None:
            self._order = np.random.default_rng(_words(shuffle)).permutation(len(clips))

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
            self._sharing,
        )


def varied_batch(
    inputs: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64],
    index: int,
    shuffle: tuple[int, int] | None,
    augmentation: AugmentationSettings,
    genres: int,
    sharing: Sharing | None = None,
) -> tuple[npt.NDArray[Any], ...]:
    """Batch `index` of an epoch, augmented, with labels or targets; see Source."""
    rng = np.random.default_rng([*_words(shuffle), int(index)])
    if augmentation.any:
        inputs = augment(inputs, augmentation, rng)
    targets: npt.NDArray[Any] = labels
    if genres:
        targets = np.eye(genres, dtype=np.float32)[labels]
        if augmentation.mixup:
            inputs, targets = mix(inputs, targets, augmentation.mixup, rng)
    if sharing is None:
        return inputs, targets
    return shared(inputs, targets, sharing.genre_weights[labels], sharing)


def shared(
    inputs: npt.NDArray[np.float32],
    targets: npt.NDArray[Any],
    weights: npt.NDArray[np.float32],
    sharing: Sharing,
) -> tuple[npt.NDArray[Any], ...]:
    """A batch that divides evenly, with weights: inputs, targets, float32 `[batch]`.

    Where its clips do not divide, the first of them are repeated with weight 0, and the
    others weigh as much more as there are more: the mean over the replicas of each
    replica's mean loss is then the mean over the clips. Without this the clips of a
    smaller share would count more, and a replica without any would have no mean at all.
    """
    clips = len(inputs)
    rows = np.arange(sharing.size(clips)) % clips
    raised = weights[rows] * (sharing.factor or len(rows) / clips)
    raised[clips:] = 0
    return inputs[rows], targets[rows], raised.astype(np.float32)


def _words(shuffle: tuple[int, int] | None) -> list[int]:
    # SeedSequence takes whole numbers from 0; a negative seed is as good as any.
    return [part % 2**64 for part in shuffle or (0, 0)]


def shared_accuracy(targets: bool) -> keras.metrics.Metric:
    """The share of clips that are right, whatever their weights; those of weight 0, which
    only fill a batch up, are not counted.

    Args:
      targets: whether it is given `[batch, genres]` in place of labels.
    """
    kind = keras.metrics.CategoricalAccuracy if targets else keras.metrics.SparseCategoricalAccuracy

    class SharedAccuracy(kind):  # type: ignore[misc, valid-type]
        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
            counted = keras.ops.cast(keras.ops.greater(sample_weight, 0), "float32")
            return super().update_state(y_true, y_pred, sample_weight=counted)

    return SharedAccuracy(name="accuracy")
