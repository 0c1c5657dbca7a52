"""Parser of serialized tf.Examples to tensors, inside a TF graph; the twin of `writer`."""

from __future__ import annotations

import tensorflow as tf

from components.audio.front_ends.front_end import DYNAMIC_RANGE_DB
from components.audio.params import AudioParams
from components.audio.spectrogram.stored import STORED_STEPS_PER_DB
from components.examples import schema

_KEYS = {
    schema.TRACK_ID: tf.io.FixedLenFeature([], tf.string),
    schema.ARTIST_ID: tf.io.FixedLenFeature([], tf.string),
    schema.GENRE: tf.io.FixedLenFeature([], tf.string),
    schema.LABEL: tf.io.FixedLenFeature([], tf.int64),
    schema.CLIP_INDEX: tf.io.FixedLenFeature([], tf.int64),
    schema.CLIP_START_S: tf.io.FixedLenFeature([], tf.float32),
}


def parse(serialized: tf.Tensor, params: AudioParams) -> dict[str, tf.Tensor]:
    """Parse a batch of examples.

    Args:
      serialized: string `[batch]`.
      params: the audio parameters.

    Returns:
      `mel_db` float32 `[batch, n_mels, frames]` (dB, the stored rounding kept); `label`,
      `clip_index` int64 `[batch]`; `clip_start_s` float32 `[batch]`; `track_id`,
      `artist_id`, `genre` string `[batch]`.

    Raises:
      InvalidArgumentError: at run time, if a feature is missing or a `mel_db` is not exactly
        `params.mel_bytes` long.
    """
    parsed = tf.io.parse_example(
        serialized, {**_KEYS, schema.MEL_DB: tf.io.FixedLenFeature([], tf.string)}
    )
    parsed[schema.MEL_DB] = decode_mel(parsed[schema.MEL_DB], params)
    return parsed


def parse_stored(serialized: tf.Tensor, params: AudioParams) -> tuple[tf.Tensor, tf.Tensor]:
    """Parse only what training needs.

    Args:
      serialized: string `[batch]`.
      params: the audio parameters.

    Returns:
      `mel_db` as stored (components.audio.spectrogram.stored), uint16 `[batch, n_mels, frames]`;
      `label` int64 `[batch]`.

    Raises:
      InvalidArgumentError: at run time, as `parse`, for these two features.
    """
    parsed = tf.io.parse_example(
        serialized,
        {
            schema.MEL_DB: tf.io.FixedLenFeature([], tf.string),
            schema.LABEL: tf.io.FixedLenFeature([], tf.int64),
        },
    )
    return _stored_mel(parsed[schema.MEL_DB], params), parsed[schema.LABEL]


def parse_keys(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    """Parse a batch, string `[batch]`, as `parse` does but without the spectrograms."""
    return tf.io.parse_example(serialized, _KEYS)


def decode_mel(mel_bytes: tf.Tensor, params: AudioParams) -> tf.Tensor:
    """Decode stored bytes, string `[batch]`, to float32 `[batch, n_mels, frames]` in dB.

    The length of each example is asserted before the reshape, because decode_raw would turn
    two arrays of half the length into one.
    """
    return from_stored(_stored_mel(mel_bytes, params))


def from_stored(stored: tf.Tensor) -> tf.Tensor:
    """Convert uint16 steps of any shape to float32 dB (components.audio.spectrogram.stored)."""
    return tf.cast(stored, tf.float32) * (1 / STORED_STEPS_PER_DB) - DYNAMIC_RANGE_DB


def _stored_mel(mel_bytes: tf.Tensor, params: AudioParams) -> tf.Tensor:
    sizes = tf.strings.length(mel_bytes)
    check = tf.debugging.Assert(
        tf.reduce_all(tf.equal(sizes, params.mel_bytes)),
        [
            f"mel_db: each example needs {params.mel_bytes} bytes, "
            f"uint16 [{params.n_mels}, {params.frames}]; got",
            sizes,
        ],
        summarize=16,
    )
    with tf.control_dependencies([check]):
        mel_bytes = tf.identity(mel_bytes)
    raw = tf.io.decode_raw(mel_bytes, tf.uint16, little_endian=True)
    return tf.reshape(raw, [tf.shape(mel_bytes)[0], params.n_mels, params.frames])
