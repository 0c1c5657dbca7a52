"""One pass over a run's examples: each track's features, and where each spectrogram lies.

It imports TensorFlow, so it runs in a process of its own (genreflow.exploring.preparation).
"""

from __future__ import annotations

import dataclasses
import glob
import os
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.audio.params import AudioParams
from components.datasets.track import SPLITS
from components.examples import parser, reader, schema
from genreflow.exploring.label_check.features import Floats, TrackMeans, clip_features
from genreflow.exploring.spectrograms import StoredClips

_BATCH = 64
# A record's data follow its length (8 bytes) and the length's checksum (4 bytes).
_RECORD_HEAD_BYTES = 12


@dataclasses.dataclass(frozen=True, eq=False)
class Pass:
    """Result of a pass.

    Attributes:
      features: of each song, `[songs, features]`; NaN for one without clips.
      clips: places of the spectrograms; none if the files are compressed.
    """

    features: Floats
    clips: StoredClips


def read(
    examples: str,
    index: Mapping[str, int],
    params: AudioParams,
    report: Callable[[int], None] = lambda songs: None,
) -> Pass:
    """Read the examples of all splits once.

    Args:
      examples: folder of an Examples artifact.
      index: the index of each song by its track id.
      params: audio parameters of the examples.
      report: called with the number of songs read so far.

    Raises:
      DataError: a split has no files, or one cannot be read.
    """
    means = TrackMeans(len(index))
    names: list[str] = []
    rows: list[tuple[int, int, float, int, int]] = []
    seen: set[int] = set()
    for split in SPLITS:
        files = reader.find([os.path.join(glob.escape(examples), f"Split-{split}", "*")])
        with reader.readable(files, params):
            for path in files.paths:
                names.append(os.path.relpath(path, examples))
                start = 0
                records = tf.data.TFRecordDataset(path, compression_type=files.compression)
                for batch in records.batch(_BATCH):
                    parsed = parser.parse(batch, params)
                    tracks = np.array(
                        [index[name.decode()] for name in parsed[schema.TRACK_ID].numpy()], np.int64
                    )
                    means.add(tracks, clip_features(parsed[schema.MEL_DB].numpy()))
                    seen.update(tracks.tolist())
                    offsets, start = _offsets(batch, params, start)
                    if not files.compression:
                        clips = parsed[schema.CLIP_INDEX].numpy()
                        starts = parsed[schema.CLIP_START_S].numpy()
                        file = [len(names) - 1] * len(tracks)
                        rows += zip(tracks, clips, starts, file, offsets, strict=True)
                report(len(seen))
    return Pass(means.means(), StoredClips.of(names, rows))


def _offsets(
    batch: tf.Tensor, params: AudioParams, start: int
) -> tuple[npt.NDArray[np.int64], int]:
    """Return where the spectrograms of a batch begin in their file, and where the batch ends.

    Args:
      batch: serialized examples, string `[batch]`, consecutive in the file.
      params: audio parameters of the examples.
      start: where the batch begins in the file.
    """
    feature = {schema.MEL_DB: tf.io.FixedLenFeature([], tf.string)}
    stored = tf.io.parse_example(batch, feature)[schema.MEL_DB].numpy()
    offsets = np.empty(len(stored), np.int64)
    for place, (record, mel) in enumerate(zip(batch.numpy(), stored, strict=True)):
        offsets[place] = start + _RECORD_HEAD_BYTES + record.find(mel)
        start += len(record) + reader.RECORD_FRAME_BYTES
    return offsets, start
