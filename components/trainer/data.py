"""Examples on disk to what training takes: arrays in memory, or tf.data streams."""

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
from components.trainer.batches import NO_AUGMENTATION, Clips, Sharing, varied_batch
from components.trainer.settings import AugmentationSettings

# Serialized examples of 22 kB: 46 MB, of which about three are in memory at a time. Shards
# hold 256 clips of whole tracks, so a window mixes eight or more of them.
SHUFFLE_WINDOW_CLIPS = 2048
READ_BATCH_CLIPS = 256
PREFETCH_BATCHES = 2


@dataclasses.dataclass(frozen=True, eq=False)
class Stream:
    """Clips that are read anew in each epoch: a components.trainer.batches.Source.

    `labels` are those of its clips, int64 `[clips]`, file after file, which is the order
    of an unshuffled epoch. Shuffled, the files come in an order of their own and the clips
    mixed within windows of SHUFFLE_WINDOW_CLIPS.
    """

    files: reader.Files
    params: AudioParams
    labels: npt.NDArray[np.int64]
    wanted: Sequence[npt.NDArray[np.bool_]] | None
    readable: Callable[[], contextlib.AbstractContextManager[None]]
    """Iterate inside it: what went wrong with a file meanwhile becomes a DataError."""

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
    ) -> tf.data.Dataset:
        """One epoch: `(mel_db, label)`, float32 `[batch, n_mels, frames]` and int64 `[batch]`
        or float32 `[batch, genres]`; see Source."""
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
            parts = 2 if sharing is None else 3
            varied = tf.numpy_function(
                lambda *batch: varied_batch(  # type: ignore[call-arg]
                    *batch, shuffle, augmentation, genres, sharing
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
        if augmentation.any or genres or sharing:
            pairs = pairs.enumerate().map(
                lambda index, pair: vary(index, pair),
                num_parallel_calls=tf.data.AUTOTUNE,
                deterministic=True,
            )
        # Keras shows progress by it, and takes an end that it did not expect for an accident.
        known = tf.data.experimental.assert_cardinality(-(-len(self.labels) // batch_size))
        return pairs.prefetch(PREFETCH_BATCHES).apply(known)


def stream(
    patterns: Sequence[str], params: AudioParams, *, limit: int = 0, seed: int = 0
) -> Stream:
    """Opens a split that does not fit in memory.

    Files are read several at a time, and examples parsed a batch at a time on all cores;
    neither changes the order. Reads the files once beforehand, for their labels.

    Args:
      patterns: file patterns of one split, e.g. `.../Split-train/*`.
      params: the audio parameters that the examples were made with.
      limit: at most so many clips, chosen as `balanced_subset` does; 0 for all.
      seed: of that choice.

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
    """Reads a split into memory: `params.mel_bytes` for each clip, in `stream`'s fixed order.

    One pass over the files, or with a limit two.

    Args:
      limit: at most so many clips, chosen as `balanced_subset` does; 0 for all.
      seed: of that choice.

    Raises:
      DataError: no file matches, or one is damaged or holds examples of other parameters.
    """
    files = reader.find(patterns)
    wanted = _wanted(reader.labels(files), limit, seed) if limit else None
    most = _most_clips(files, params) if wanted is None else sum(int(m.sum()) for m in wanted)
    # Memory that is never written to is never taken.
    inputs = np.empty((most, params.n_mels, params.frames), STORED_DTYPE)
    labels = np.empty(most, np.int64)
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
    elif filled != most:
        raise DataError(
            f"{files}: {filled} of {most} chosen clips were found; the files were changed "
            "meanwhile: run again"
        )
    return Clips(inputs[:filled], labels[:filled])


def held_bytes(patterns: Sequence[str], params: AudioParams, *, limit: int = 0) -> int:
    """The most that `load` would keep in memory. Raises DataError."""
    clips = _most_clips(reader.find(patterns), params)
    return (min(clips, limit) if limit else clips) * params.mel_bytes


def _most_clips(files: reader.Files, params: AudioParams) -> int:
    """How many examples there can be; exact where files are compressed."""
    if files.compression:
        return sum(len(labels) for labels in reader.labels(files))
    # Each is a little longer than its spectrogram.
    return files.bytes // params.mel_bytes


def _wanted(
    by_file: Sequence[npt.NDArray[np.int64]], limit: int, seed: int
) -> list[npt.NDArray[np.bool_]]:
    """For each file, which of its examples `balanced_subset` takes."""
    labels = np.concatenate(by_file)
    mask = np.zeros(len(labels), bool)
    mask[balanced_subset(labels, limit, seed)] = True
    return np.split(mask, np.cumsum([len(of_file) for of_file in by_file])[:-1])


def _shuffled(
    files: reader.Files, wanted: Sequence[npt.NDArray[np.bool_]] | None, seed: int, epoch: int
) -> tf.data.Dataset:
    """Windows of serialized examples in an order that the seed and the epoch decide.

    Not Dataset.shuffle: its order also depends on TensorFlow's global seed, and on how
    often a generator of its own was asked before.
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
