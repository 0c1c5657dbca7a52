"""Examples on disk to what training takes: tf.data streams, or arrays in memory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.audio.mel import STORED_DTYPE
from components.audio.params import AudioParams
from components.errors import DataError
from components.examples import parser, schema
from components.trainer.batches import Clips

# FMA small's 25,600 training clips of 22 kB (0.57 GB) fit; beyond, training streams.
MEMORY_BYTES = 1024**3

# Serialized examples of 22 kB: 90 MB. Shards hold whole tracks, and this many clips
# from several shards mix them.
SHUFFLE_BUFFER_CLIPS = 4096
READ_BATCH_CLIPS = 256


def dataset(
    patterns: Sequence[str],
    params: AudioParams,
    batch_size: int,
    *,
    shuffle_seed: int | None = None,
    limit: int = 0,
) -> tf.data.Dataset:
    """Streams `(mel_db, label)`: float32 `[batch, n_mels, frames]`, int64 `[batch]`.

    Reads the files once beforehand, for their labels; a damaged file is found there.

    Args:
      patterns: file patterns of one split, e.g. `.../Split-train/*`.
      params: the audio parameters that the examples were made with.
      batch_size: clips in a batch; the last may be smaller.
      shuffle_seed: another order in every epoch, the same for the same seed; None keeps
        the order of the files.
      limit: at most so many clips, chosen as `balanced_subset` does; 0 for all.

    Raises:
      DataError: no file matches, or the files cannot be read.
    """
    serialized = _records(patterns)
    all_labels = labels(patterns)
    clips = len(all_labels)
    if limit:
        chosen = balanced_subset(all_labels, limit, seed=shuffle_seed or 0)
        clips = len(chosen)
        serialized = _take(serialized, chosen)
    if shuffle_seed is not None:
        serialized = serialized.shuffle(
            SHUFFLE_BUFFER_CLIPS, seed=shuffle_seed, reshuffle_each_iteration=True
        )

    def to_pair(batch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        parsed = parser.parse(batch, params)
        return parsed[schema.MEL_DB], parsed[schema.LABEL]

    batches = serialized.batch(batch_size).map(to_pair).prefetch(2)
    # Keras shows progress by it, and takes an end that it did not expect for an accident.
    return batches.apply(tf.data.experimental.assert_cardinality(-(-clips // batch_size)))


def examples(patterns: Sequence[str], params: AudioParams, batch_size: int) -> tf.data.Dataset:
    """Streams everything that components.examples.parser.parse gives, in file order.

    For evaluation, which needs the track ids. Raises DataError as `dataset` does.
    """
    batches = _records(patterns).batch(batch_size)
    return batches.map(lambda batch: parser.parse(batch, params)).prefetch(2)


def load(patterns: Sequence[str], params: AudioParams, *, limit: int = 0, seed: int = 0) -> Clips:
    """Reads a split into memory, in file order: `params.mel_bytes` for each clip.

    Args:
      limit: at most so many clips, chosen as `balanced_subset` does; 0 for all.
      seed: of that choice.

    Raises:
      DataError: no file matches, or one is damaged or holds examples of other parameters.
    """
    all_labels = labels(patterns)
    chosen = balanced_subset(all_labels, limit, seed) if limit else np.arange(len(all_labels))
    inputs = np.empty((len(chosen), params.n_mels, params.frames), STORED_DTYPE)
    filled = 0
    batches = _take(_records(patterns), chosen).batch(READ_BATCH_CLIPS)
    with _readable(patterns):
        for mel_db in batches.map(lambda batch: parser.parse(batch, params)[schema.MEL_DB]):
            inputs[filled : filled + len(mel_db)] = mel_db.numpy()
            filled += len(mel_db)
    return Clips(inputs, all_labels[chosen])


def labels(patterns: Sequence[str]) -> npt.NDArray[np.int64]:
    """The label of every example, int64 `[clips]`, in file order. Raises DataError."""
    feature = {schema.LABEL: tf.io.FixedLenFeature([], tf.int64)}
    batches = _records(patterns).batch(READ_BATCH_CLIPS)
    with _readable(patterns):
        found = [
            batch.numpy()
            for batch in batches.map(lambda batch: tf.io.parse_example(batch, feature)["label"])
        ]
    return np.concatenate([np.empty(0, np.int64), *found])


def count_examples(patterns: Sequence[str]) -> int:
    """How many examples the files hold. Raises DataError."""
    with _readable(patterns):
        return sum(1 for _ in _records(patterns).as_numpy_iterator())


def balanced_subset(labels: npt.NDArray[np.int64], limit: int, seed: int) -> npt.NDArray[np.int64]:
    """Positions of at most `limit` examples, ascending: as many of each label as can be.

    Every label gives one example in turn, in an order drawn from the seed, until the
    limit is reached; labels that run out leave their turns to the others.
    """
    shuffled = np.random.default_rng(seed % 2**64).permutation(len(labels))
    turn = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        of_label = shuffled[labels[shuffled] == label]
        turn[of_label] = np.arange(len(of_label))
    by_turn = shuffled[np.argsort(turn[shuffled], kind="stable")]
    return np.sort(by_turn[:limit])


def _records(patterns: Sequence[str]) -> tf.data.Dataset:
    """Serialized examples in the order of the sorted file names."""
    files = sorted({file for pattern in patterns for file in tf.io.gfile.glob(pattern)})
    if not files:
        raise DataError(f"no files match {', '.join(patterns)}: was the split written?")
    compressions = {"GZIP" if file.endswith(".gz") else "" for file in files}
    if len(compressions) > 1:
        raise DataError(f"{', '.join(patterns)}: some files end in .gz and some do not")
    return tf.data.TFRecordDataset(files, compression_type=compressions.pop())


def _take(serialized: tf.data.Dataset, positions: npt.NDArray[np.int64]) -> tf.data.Dataset:
    """The records at these ascending positions."""
    wanted = np.zeros(int(positions[-1]) + 1 if len(positions) else 0, bool)
    wanted[positions] = True
    # Ends after the last wanted record, so zip's shortest-first rule reads no further.
    marked = tf.data.Dataset.zip((serialized, tf.data.Dataset.from_tensor_slices(wanted)))
    return marked.filter(lambda _, keep: keep).map(lambda record, _: record)


@contextlib.contextmanager
def _readable(patterns: Sequence[str]) -> Iterator[None]:
    """Turns what TensorFlow raises for bad files into words."""
    where = ", ".join(patterns)
    try:
        yield
    except tf.errors.DataLossError as error:
        raise DataError(
            f"{where}: a file is damaged, cut short or no TFRecord ({error.message}); write the "
            "examples again"
        ) from error
    except tf.errors.InvalidArgumentError as error:
        raise DataError(
            f"{where}: an example lacks a feature, or its spectrogram has another size than the "
            f"audio parameters say ({error.message})"
        ) from error
