"""Example files to serialized tf.Examples, in parallel and always in the same order.

Files are read a few at a time and their records taken in turn, in blocks: the order is a
function of the sorted file names alone, whatever the number of cores. Paths may be
whatever tf.io.gfile reads.
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

# Both decide the order of records, so a change gives other trainings for the same seed.
# Eight files hide the latency of a store; 32 records of 22 kB are read at a stretch.
CYCLE_FILES = 8
BLOCK_CLIPS = 32

CHECK_CLIPS = 256

# Length (8 bytes) and two checksums (4 each), by TFRecord's format.
RECORD_FRAME_BYTES = 16


@dataclasses.dataclass(frozen=True)
class Files:
    """The files of one split, sorted; compression "" or "GZIP" for all of them."""

    paths: tuple[str, ...]
    compression: str

    @property
    def bytes(self) -> int:
        """Their size on disk. Raises DataError where one is gone."""
        total = 0
        for path in self.paths:
            try:
                total += tf.io.gfile.stat(path).length
            except tf.errors.OpError as error:
                raise _in_words(path, error) from error
        return total

    def __str__(self) -> str:
        more = f" and {len(self.paths) - 1} more" if len(self.paths) > 1 else ""
        return f"{self.paths[0]}{more}"


def find(patterns: Sequence[str]) -> Files:
    """The files that match, e.g. `.../Split-train/*`; what ends in .gz is GZIP.

    Raises:
      DataError: none matches, or some are compressed and some are not.
    """
    paths = sorted({path for pattern in patterns for path in tf.io.gfile.glob(pattern)})
    if not paths:
        raise DataError(f"no files match {', '.join(patterns)}: was the split written?")
    compressions = {"GZIP" if path.endswith(".gz") else "" for path in paths}
    if len(compressions) > 1:
        raise DataError(f"{', '.join(patterns)}: some files end in .gz and some do not")
    return Files(tuple(paths), compressions.pop())


def blocks(
    files: Files,
    *,
    order: tf.Tensor | None = None,
    wanted: Sequence[npt.NDArray[np.bool_]] | None = None,
) -> tf.data.Dataset:
    """Serialized examples, string `[1..BLOCK_CLIPS]` an element; `rebatch` them.

    Args:
      order: int64 `[files]`, the order in which files are opened; None: by name.
      wanted: for each file (by name) which of its records to take, bool `[records]`;
        None for all.
    """
    paths = tf.constant(files.paths)
    masks = None
    if wanted is not None:
        masks = tf.RaggedTensor.from_row_lengths(
            np.concatenate([np.empty(0, bool), *wanted]), [len(mask) for mask in wanted]
        )

    def of_file(index: tf.Tensor) -> tf.data.Dataset:
        records = tf.data.TFRecordDataset(paths[index], compression_type=files.compression)
        if masks is not None:
            marked = tf.data.Dataset.zip(
                (records, tf.data.Dataset.from_tensor_slices(masks[index]))
            )
            records = marked.filter(lambda _, keep: keep).map(lambda record, _: record)
        return records.batch(BLOCK_CLIPS)

    indices = tf.range(len(files.paths), dtype=tf.int64) if order is None else order
    return tf.data.Dataset.from_tensor_slices(indices).interleave(
        of_file,
        cycle_length=CYCLE_FILES,
        block_length=1,
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )


def labels(files: Files) -> list[npt.NDArray[np.int64]]:
    """The label of every example, int64 `[records]` for each file by name.

    Reads the files once as a whole. Raises DataError.
    """
    feature = {schema.LABEL: tf.io.FixedLenFeature([], tf.int64)}
    paths = tf.constant(files.paths)

    def of_file(index: tf.Tensor) -> tf.data.Dataset:
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
        of_file, cycle_length=CYCLE_FILES, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )
    found: list[list[npt.NDArray[np.int64]]] = [[] for _ in files.paths]
    bytes_read = 0
    with readable(files):
        for index, batch, size in batches.as_numpy_iterator():
            found[index].append(batch)
            bytes_read += size
    check_size(files, bytes_read)
    return [np.concatenate([np.empty(0, np.int64), *of_file]) for of_file in found]


def track_ids(files: Files) -> list[str]:
    """The ids of the tracks that have clips in the files, sorted. Reads them once as a whole.

    Raises DataError.
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
    """Bytes that these records, string `[batch]`, take in a file without compression; int64."""
    sizes = tf.strings.length(serialized) + RECORD_FRAME_BYTES
    return tf.reduce_sum(tf.cast(sizes, tf.int64))


def check_size(files: Files, bytes_read: int) -> None:
    """Raises DataError if there is more in the files than the records that were read.

    TensorFlow takes a file that ends within a record's first twelve bytes for a whole one.
    """
    if not files.compression and bytes_read != files.bytes:
        check(files)


@contextlib.contextmanager
def readable(
    files: Files, params: AudioParams | None = None, clips: int | None = None
) -> Iterator[None]:
    """Turns what TensorFlow raises while these files are read into a DataError.

    The error names the file that is to blame: the files are read once more to find it,
    as what comes out of a training loop tells neither the file nor whether reading or
    the network failed. An error that no file explains goes on as it is.

    Args:
      params: also check that every example holds a spectrogram of these parameters.
      clips: how many examples the files had before.

    Raises:
      DataError: a file is gone, damaged, or holds other examples than expected.
    """
    try:
        yield
    except tf.errors.OpError:
        check(files, params, clips)
        raise


def check(files: Files, params: AudioParams | None = None, clips: int | None = None) -> None:
    """Reads all of every file; arguments and DataError as in `readable`."""
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
            whole = bool(files.compression) or bytes_read == tf.io.gfile.stat(path).length
        except tf.errors.OpError as error:
            raise _in_words(path, error) from error
        if not whole:
            raise DataError(f"{path}: cut short within a record; write the examples again")
    if clips is not None and found != clips:
        raise DataError(
            f"{files}: {found} clips, but there were {clips} when reading began; the files were "
            "changed meanwhile: run again"
        )


def _in_words(path: str, error: tf.errors.OpError) -> DataError:
    reason = error.message.splitlines()[0]
    if isinstance(error, tf.errors.NotFoundError):
        return DataError(f"{path}: the file is gone; write the examples again")
    if isinstance(error, tf.errors.DataLossError):
        return DataError(
            f"{path}: damaged, cut short or no TFRecord ({reason}); write the examples again"
        )
    if isinstance(error, tf.errors.InvalidArgumentError):
        return DataError(
            f"{path}: an example lacks a feature, or its spectrogram has another size than the "
            f"audio parameters say ({reason})"
        )
    return DataError(f"{path}: cannot be read ({reason})")
