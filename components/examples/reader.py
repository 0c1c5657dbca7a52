"""Parallel reading of example files, always in the same order.

A few files are read at a time, and blocks of their records are taken in turn. The order
depends only on the sorted file names, not on the number of cores. Paths may be anything that
tf.io.gfile reads.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.audio.params import AudioParams
from components.common.errors import DataError
from components.examples import parser, schema

# Both affect the order of records, so changing them changes the training of a seed. Eight files
# hide the latency of an object store. A block is 32 records of 22 kB.
CYCLE_FILES = 8
BLOCK_CLIPS = 32

CHECK_CLIPS = 256

# TFRecord's format: the length (8 bytes) and two checksums (4 bytes each).
RECORD_FRAME_BYTES = 16


@dataclasses.dataclass(frozen=True)
class Files:
    """Example files of one split.

    Attributes:
      paths: the sorted paths.
      compression: "" or "GZIP", of all files.
    """

    paths: tuple[str, ...]
    compression: str

    @property
    def bytes(self) -> int:
        """The size of the files on disk. Raises DataError if one is missing."""
        total = 0
        for path in self.paths:
            try:
                total += tf.io.gfile.stat(path).length
            except tf.errors.OpError as error:
                raise _data_error(path, error) from error
        return total

    def __str__(self) -> str:
        more = f" and {len(self.paths) - 1} more" if len(self.paths) > 1 else ""
        return f"{self.paths[0]}{more}"


def find(patterns: Sequence[str]) -> Files:
    """Find the files of a split.

    Args:
      patterns: glob patterns, such as `.../Split-train/*`. Names that end in .gz are GZIP.

    Raises:
      DataError: no file matches, or only some files are compressed.
    """
    paths = sorted({path for pattern in patterns for path in tf.io.gfile.glob(pattern)})
    if not paths:
        raise DataError(f"no files match {', '.join(patterns)}; write the examples of this split")
    compressions = {"GZIP" if path.endswith(".gz") else "" for path in paths}
    if len(compressions) > 1:
        raise DataError(
            f"{', '.join(patterns)}: some files end in .gz and some do not; "
            "write the examples again"
        )
    return Files(tuple(paths), compressions.pop())


def blocks(
    files: Files,
    *,
    order: tf.Tensor | None = None,
    wanted: Sequence[npt.NDArray[np.bool_]] | None = None,
) -> tf.data.Dataset:
    """Return a dataset of serialized examples.

    Args:
      files: the files to read.
      order: int64 `[files]`, indices of the files in the order to open them; None for the
        order of names.
      wanted: for each file in the order of names, whether to take each record, bool
        `[records]`; None for all records.

    Returns:
      A dataset of string `[1..BLOCK_CLIPS]`; call its `rebatch`.
    """
    paths = tf.constant(files.paths)
    masks = None
    if wanted is not None:
        masks = tf.RaggedTensor.from_row_lengths(
            np.concatenate([np.empty(0, bool), *wanted]), [len(mask) for mask in wanted]
        )

    def read_file(index: tf.Tensor) -> tf.data.Dataset:
        records = tf.data.TFRecordDataset(paths[index], compression_type=files.compression)
        if masks is not None:
            marked = tf.data.Dataset.zip(
                (records, tf.data.Dataset.from_tensor_slices(masks[index]))
            )
            records = marked.filter(lambda _, keep: keep).map(lambda record, _: record)
        return records.batch(BLOCK_CLIPS)

    indices = tf.range(len(files.paths), dtype=tf.int64) if order is None else order
    return tf.data.Dataset.from_tensor_slices(indices).interleave(
        read_file,
        cycle_length=CYCLE_FILES,
        block_length=1,
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )


def labels(files: Files) -> list[npt.NDArray[np.int64]]:
    """Read the label of every example, in one pass over the files.

    Returns:
      int64 `[records]` for each file, in the order of names.

    Raises:
      DataError: a file cannot be read.
    """
    feature = {schema.LABEL: tf.io.FixedLenFeature([], tf.int64)}
    paths = tf.constant(files.paths)

    def read_file(index: tf.Tensor) -> tf.data.Dataset:
        records = tf.data.TFRecordDataset(paths[index], compression_type=files.compression)
        return records.batch(CHECK_CLIPS).map(
            lambda batch: (
                index,
                tf.io.parse_example(batch, feature)[schema.LABEL],
                size_on_disk(batch),
            )
        )

    indices = tf.data.Dataset.range(len(files.paths))
    batches = indices.interleave(
        read_file, cycle_length=CYCLE_FILES, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )
    found: list[list[npt.NDArray[np.int64]]] = [[] for _ in files.paths]
    bytes_read = 0
    with readable(files):
        for index, batch, size in batches.as_numpy_iterator():
            found[index].append(batch)
            bytes_read += size
    check_size(files, bytes_read)
    return [np.concatenate([np.empty(0, np.int64), *batches_of_file]) for batches_of_file in found]


def track_ids(files: Files) -> list[str]:
    """Read the sorted ids of the tracks with clips in the files, in one pass.

    Raises:
      DataError: a file cannot be read.
    """
    feature = {schema.TRACK_ID: tf.io.FixedLenFeature([], tf.string)}
    batches = (
        blocks(files)
        .rebatch(CHECK_CLIPS)
        .map(lambda batch: tf.unique(tf.io.parse_example(batch, feature)[schema.TRACK_ID]).y)
    )
    with readable(files):
        found = {name for batch in batches.as_numpy_iterator() for name in batch}
    return sorted(name.decode() for name in found)


def size_on_disk(serialized: tf.Tensor) -> tf.Tensor:
    """Return the size of records, string `[batch]`, in an uncompressed file; int64, in bytes."""
    sizes = tf.strings.length(serialized) + RECORD_FRAME_BYTES
    return tf.reduce_sum(tf.cast(sizes, tf.int64))


def check_size(files: Files, bytes_read: int) -> None:
    """Raise DataError if uncompressed files are longer than the records that were read.

    TensorFlow accepts a file that is cut within the first twelve bytes of a record.
    """
    if not files.compression and bytes_read != files.bytes:
        check(files)


@contextlib.contextmanager
def readable(
    files: Files, params: AudioParams | None = None, clips: int | None = None
) -> Iterator[None]:
    """Convert TensorFlow's errors inside the context to a DataError that names the file.

    An error of a training loop shows neither the file nor whether reading or the network
    failed. So the files are read once more to find the one to blame. If none is, the original
    error is raised.

    Args:
      files: the files that are read inside the context.
      params: if given, also check that every example has a spectrogram of these parameters.
      clips: if given, the number of examples that the files should have.

    Raises:
      DataError: a file is missing or damaged, or has other examples than expected.
    """
    try:
        yield
    except tf.errors.OpError:
        check(files, params, clips)
        raise


def check(files: Files, params: AudioParams | None = None, clips: int | None = None) -> None:
    """Read every file as a whole; arguments and errors are those of `readable`."""
    found = 0
    for path in files.paths:
        batches = tf.data.TFRecordDataset(path, compression_type=files.compression).batch(
            CHECK_CLIPS
        )
        bytes_read = 0
        try:
            for batch in batches:
                parser.parse_keys(batch)
                if params is not None:
                    parser.parse_stored(batch, params)
                found += len(batch)
                bytes_read += int(size_on_disk(batch))
            complete = bool(files.compression) or bytes_read == tf.io.gfile.stat(path).length
        except tf.errors.OpError as error:
            raise _data_error(path, error) from error
        if not complete:
            raise DataError(f"{path}: truncated within a record; write the examples again")
    if clips is not None and found != clips:
        raise DataError(
            f"{files}: {found} clips instead of {clips}; the files were changed during the run, so "
            "run again"
        )


def _data_error(path: str, error: tf.errors.OpError) -> DataError:
    reason = error.message.splitlines()[0]
    if isinstance(error, tf.errors.NotFoundError):
        return DataError(f"{path}: the file is missing; write the examples again")
    if isinstance(error, tf.errors.DataLossError):
        return DataError(
            f"{path}: damaged, truncated or no TFRecord ({reason}); write the examples again"
        )
    if isinstance(error, tf.errors.InvalidArgumentError):
        return DataError(
            f"{path}: an example lacks a feature, or its spectrogram has another size than the "
            f"audio parameters require ({reason}); write the examples again"
        )
    return DataError(f"{path}: cannot be read ({reason})")
