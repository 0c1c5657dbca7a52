"""Writer of clips as serialized tf.Examples; the twin of `parser`."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from components.audio.params import AudioParams
from components.audio.spectrogram.stored import STORED_DTYPE
from components.examples import schema


@dataclasses.dataclass(frozen=True)
class Clip:
    """Labelled clip.

    Attributes:
      track_id: id of the track.
      artist_id: id of the artist, "" if unknown.
      genre: name of the genre.
      label: index of the genre.
      clip_index: index of the clip in its track.
      clip_start_s: start of the clip in seconds.
      mel_db: uint16 `[n_mels, frames]`, as stored (components.audio.spectrogram.stored).
    """

    track_id: str
    artist_id: str
    genre: str
    label: int
    clip_index: int
    clip_start_s: float
    mel_db: npt.NDArray[np.uint16]


def serialize(clip: Clip, params: AudioParams) -> bytes:
    """Return a clip as a serialized tf.Example, the same bytes for the same clip.

    Raises:
      ValueError: `mel_db` has another shape or dtype than the parameters say.
    """
    import tensorflow as tf

    shape = (params.n_mels, params.frames)
    if clip.mel_db.shape != shape or clip.mel_db.dtype != STORED_DTYPE:
        raise ValueError(
            f"track {clip.track_id!r} clip {clip.clip_index}: mel_db is "
            f"{clip.mel_db.dtype} {clip.mel_db.shape}, not {np.dtype(STORED_DTYPE)} {shape}"
        )

    def text(value: str) -> tf.train.Feature:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.encode()]))

    def integer(value: int) -> tf.train.Feature:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))

    mel_bytes = np.ascontiguousarray(clip.mel_db, dtype="<u2").tobytes()
    features = {
        schema.TRACK_ID: text(clip.track_id),
        schema.ARTIST_ID: text(clip.artist_id),
        schema.GENRE: text(clip.genre),
        schema.LABEL: integer(clip.label),
        schema.CLIP_INDEX: integer(clip.clip_index),
        schema.CLIP_START_S: tf.train.Feature(
            float_list=tf.train.FloatList(value=[clip.clip_start_s])
        ),
        schema.MEL_DB: tf.train.Feature(bytes_list=tf.train.BytesList(value=[mel_bytes])),
    }
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return example.SerializeToString(deterministic=True)
