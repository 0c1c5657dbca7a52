"""Sources of training from examples on disk: arrays in memory, or tf.data streams."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.audio.params import AudioParams
from components.audio.spectrogram.stored import STORED_DTYPE
from components.common.errors import DataError
from components.examples import parser, reader
from components.examples.subset import balanced_subset
from components.trainer.batches import NO_AUGMENTATION, Clips, Padding, varied_batch
from components.trainer.settings import AugmentationSettings

# A window of serialized examples of 22 kB takes 46 MB; about three are in memory at a time. Shards
# hold 256 clips of whole tracks, so a window mixes eight shards or more.
SHUFFLE_WINDOW_CLIPS = 2048
READ_BATCH_CLIPS = 256
PREFETCH_BATCHES = 2


@dataclasses.dataclass(frozen=True, eq=False)
class Stream:
    """A components.trainer.batches.Source that reads its files anew in each epoch.

    An unshuffled epoch has the clips file after file. Shuffling permutes the files, and the
    clips within windows of SHUFFLE_WINDOW_CLIPS.

    Attributes:
      files: the split's files.
      params: the audio parameters that the examples were made with.
      labels: int64 `[clips]`, in the order of an unshuffled epoch.
      wanted: mask of the clips to use in each file, or None for all.
      readable: opens a block to iterate in, which turns a file's problem into a DataError.
    """

    files: reader.Files
    params: AudioParams
    labels: npt.NDArray[np.int64]
    wanted: Sequence[npt.NDArray[np.bool_]] | None
    readable: Callable[[], contextlib.AbstractContextManager[None]]

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
    ) -> tf.data.Dataset:
        """Return one epoch of `(mel_db, label)`; see Source.

        `mel_db` is float32 `[batch, n_mels, frames]`, `label` int64 `[batch]` or float32
        `[batch, genres]`.
        """
        if shuffle is None:
            serialized = reader.blocks(self.files, wanted=self.wanted)
        else:
            serialized = _shuffled(self.files, self.wanted, *shuffle)

        def to_pair(batch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            mel_db, label = parser.parse_stored(batch, self.params)
            return parser.from_stored(mel_db), label

        def vary(index: tf.Tensor, pair: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, ...]:
            mel_db, label = pair
            types = [tf.float32, tf.float32 if genres else tf.int64, tf.float32]
            shapes = [mel_db.shape, [None, genres] if genres else [None], [None]]
            parts = 2 if padding is None else 3
            varied = tf.numpy_function(
                lambda *batch: varied_batch(  # type: ignore[call-arg]
                    *batch, shuffle, augmentation, genres, padding
                ),
                [mel_db, label, index],
                types[:parts],
                stateful=False,
            )
            for part, shape in zip(varied, shapes[:parts], strict=True):
                part.set_shape(shape)
            return tuple(varied)

        pairs = serialized.rebatch(batch_size).map(
            to_pair, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
        )
        if augmentation.any or genres or padding:
            pairs = pairs.enumerate().map(
                lambda index, pair: vary(index, pair),
                num_parallel_calls=tf.data.AUTOTUNE,
                deterministic=True,
            )
        # Keras needs the cardinality for progress, and treats an unexpected end as an error.
        known = tf.data.experimental.assert_cardinality(-(-len(self.labels) // batch_size))
        return pairs.prefetch(PREFETCH_BATCHES).apply(known)


def stream(
    patterns: Sequence[str], params: AudioParams, *, limit: int = 0, seed: int = 0
) -> Stream:
    """Open a split that does not fit in memory, and read its labels.

    Later, several files are read at a time, and batches are parsed on all cores. Neither changes
    the order.

    Args:
      patterns: file patterns of one split, e.g. `.../Split-train/*`.
      params: the audio parameters that the examples were made with.
      limit: number of clips at most, chosen by `balanced_subset`; 0 for all.
      seed: seed of that choice.

    Raises:
      DataError: no file matches, or the files cannot be read.
    """
    files = reader.find(patterns)
    by_file = reader.labels(files)
    every_label = np.concatenate(by_file)
    wanted = _wanted(by_file, limit, seed) if limit else None
    labels = every_label if wanted is None else every_label[np.concatenate(wanted)]
    readable = functools.partial(reader.readable, files, params, len(every_label))
    return Stream(files, params, labels, wanted, readable)


def load(patterns: Sequence[str], params: AudioParams, *, limit: int = 0, seed: int = 0) -> Clips:
    """Read a split into memory, in the order of `stream`.

    Each clip takes `params.mel_bytes`. A limit costs a second pass over the files.

    Args:
      limit: number of clips at most, chosen by `balanced_subset`; 0 for all.
      seed: seed of that choice.

    Raises:
      DataError: no file matches, or one is damaged or holds examples of other parameters.
    """
    files = reader.find(patterns)
    wanted = _wanted(reader.labels(files), limit, seed) if limit else None
    max_clips = _max_clips(files, params) if wanted is None else sum(int(m.sum()) for m in wanted)
    # The system allocates no memory for rows that are never written.
    inputs = np.empty((max_clips, params.n_mels, params.frames), STORED_DTYPE)
    labels = np.empty(max_clips, np.int64)
    batches = (
        reader.blocks(files, wanted=wanted)
        .rebatch(READ_BATCH_CLIPS)
        .map(
            lambda batch: (*parser.parse_stored(batch, params), reader.size_on_disk(batch)),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        .prefetch(PREFETCH_BATCHES)
    )
    filled = bytes_read = 0
    with reader.readable(files, params):
        for mel_db, label, size in batches.as_numpy_iterator():
            inputs[filled : filled + len(label)] = mel_db
            labels[filled : filled + len(label)] = label
            filled += len(label)
            bytes_read += size
    if wanted is None:
        reader.check_size(files, bytes_read)
    elif filled != max_clips:
        raise DataError(
            f"{files}: {filled} of {max_clips} chosen clips were found; the files were changed "
            "while they were read: run again"
        )
    return Clips(inputs[:filled], labels[:filled])


def held_bytes(patterns: Sequence[str], params: AudioParams, *, limit: int = 0) -> int:
    """Return the maximum of bytes that `load` would keep in memory.

    Raises:
      DataError: see `load`.
    """
    clips = _max_clips(reader.find(patterns), params)
    return (min(clips, limit) if limit else clips) * params.mel_bytes


def _max_clips(files: reader.Files, params: AudioParams) -> int:
    """Return the maximum number of examples, which is exact if the files are compressed."""
    if files.compression:
        return sum(len(labels) for labels in reader.labels(files))
    # An example is a little larger than its spectrogram.
    return files.bytes // params.mel_bytes


def _wanted(
    by_file: Sequence[npt.NDArray[np.int64]], limit: int, seed: int
) -> list[npt.NDArray[np.bool_]]:
    """Return for each file a mask of the examples that `balanced_subset` takes."""
    labels = np.concatenate(by_file)
    mask = np.zeros(len(labels), bool)
    mask[balanced_subset(labels, limit, seed)] = True
    return np.split(mask, np.cumsum([len(of_file) for of_file in by_file])[:-1])


def _shuffled(
    files: reader.Files, wanted: Sequence[npt.NDArray[np.bool_]] | None, seed: int, epoch: int
) -> tf.data.Dataset:
    """Return windows of serialized examples in an order that the seed and the epoch decide.

    Dataset.shuffle would not do: its order also depends on TensorFlow's global seed and on how
    many epochs were drawn before.
    """
    rng = np.random.default_rng([seed % 2**64, epoch % 2**64])
    order = rng.permutation(len(files.paths))
    window_seed = int(rng.integers(2**62))
    windows = reader.blocks(files, order=order, wanted=wanted).rebatch(SHUFFLE_WINDOW_CLIPS)
    return (
        windows.enumerate()
        .map(
            lambda index, window: tf.random.experimental.stateless_shuffle(
                window, tf.stack([window_seed, index])
            )
        )
        .prefetch(1)
    )
