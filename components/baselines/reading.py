"""A split's examples for the baselines: the clips' keys, and blocks of spectrograms."""

from __future__ import annotations

import dataclasses
import glob
import os
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd
import tensorflow as tf

from components.audio.params import AudioParams
from components.audio.spectrogram.stored import from_stored
from components.common.errors import DataError
from components.examples import parser, reader, schema

# 512 clips take 11 MB as stored, and 23 MB as float32.
BLOCK_CLIPS = 512

_KEYS = (schema.TRACK_ID, schema.ARTIST_ID, schema.CLIP_INDEX, schema.LABEL)


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """One split.

    Attributes:
      clips: one row for each clip, in the order of `blocks`: track_id, artist_id (strings),
        clip_index, label (int64).
      files: the split's files.
      params: the audio parameters that the examples were made with.
      stored: all spectrograms as stored, uint16, if they fit into memory.
    """

    clips: pd.DataFrame
    files: reader.Files
    params: AudioParams
    stored: tuple[npt.NDArray[np.uint16], ...] | None

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """Label of each clip, int64 `[clips]`."""
        return self.clips[schema.LABEL].to_numpy()

    def blocks(self) -> Iterator[npt.NDArray[np.float32]]:
        """Yield mel_db float32 `[up to BLOCK_CLIPS, n_mels, frames]` in dB, the same each time.

        Raises:
          DataError: the files cannot be read, or have changed since the split was opened.
        """
        if self.stored is not None:
            for block in self.stored:
                yield from_stored(block)
            return
        with reader.readable(self.files, self.params, len(self.clips)):
            for batch in _batches(self.files):
                yield from_stored(parser.parse_stored(batch, self.params)[0].numpy())


def read_split(examples_uri: str, split: str, params: AudioParams, *, held_bytes: int = 0) -> Split:
    """Open a split, and read it once.

    Args:
      examples_uri: root of an Examples artifact.
      split: the split's name.
      params: the audio parameters that the examples were made with.
      held_bytes: limit up to which the spectrograms stay in memory, as stored. Beyond it each
        pass reads the files.

    Raises:
      DataError: there are no files or no clips, or a file is damaged or holds examples of
        other parameters.
    """
    files = reader.find([os.path.join(glob.escape(examples_uri), f"Split-{split}", "*")])
    keys: list[pd.DataFrame] = []
    held: list[npt.NDArray[np.uint16]] | None = [] if files.bytes <= held_bytes else None
    with reader.readable(files, params):
        for batch in _batches(files):
            pictures = parser.parse_stored(batch, params)[0].numpy()
            keys.append(_keys(batch))
            if held is not None:
                held.append(pictures)
                if len(keys) * pictures.nbytes > held_bytes:  # compressed files are smaller
                    held = None
    if not keys:
        raise DataError(
            f"the {split} split has no clips: add tracks, or change the [split] table so that "
            "each split gets some"
        )
    clips = pd.concat(keys, ignore_index=True)
    return Split(clips, files, params, None if held is None else tuple(held))


def _batches(files: reader.Files) -> tf.data.Dataset:
    return reader.blocks(files).rebatch(BLOCK_CLIPS).prefetch(1)


def _keys(batch: tf.Tensor) -> pd.DataFrame:
    parsed = parser.parse_keys(batch)
    frame = pd.DataFrame({name: parsed[name].numpy() for name in _KEYS})
    for name in (schema.TRACK_ID, schema.ARTIST_ID):
        frame[name] = frame[name].str.decode("utf-8")
    return frame
