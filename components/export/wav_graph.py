"""A reader of WAV files as a TensorFlow graph, for the signature `serving_wav`.

TensorFlow's own DecodeWav refuses what many programs write (WAVE_FORMAT_EXTENSIBLE, lengths that a
pipe leaves open, chunks of odd length before the samples), and its messages do not say what the
model takes. This reader walks the chunks, reads 16-bit PCM from each of these, and refuses
everything else in one sentence. It needs core operations on strings only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from components.audio.decoding.chunks import UNKNOWN_LENGTH_32

# Chunks that may be before the samples. Usual files have one to three; more would cost time.
MAX_CHUNKS = 64

_PCM, _EXTENSIBLE = 1, 0xFFFE
# What follows the format code in the subformat of an extensible header.
_SUBFORMAT = bytes.fromhex("000000001000800000aa00389b71")
_SCALE = 1.0 / (1 << 15)


class _Chunks(NamedTuple):
    """Places of chunks, as int32 scalars.

    Attributes:
      position: of the chunk to look at next.
      format_at: of the format chunk's content; 0 if there is none.
      format_bytes: length of the format chunk's content.
      data_at: of the first sample; 0 if there is none.
      data_bytes: int64, as the header says.
    """

    position: tf.Tensor
    format_at: tf.Tensor
    format_bytes: tf.Tensor
    data_at: tf.Tensor
    data_bytes: tf.Tensor


def decode(wav: tf.Tensor, rate_hz: int) -> tf.Tensor:
    """Return the samples of a WAV file, full scale 1.0, as float32 `[samples, channels]`.

    A last frame that is not whole is dropped.

    Args:
      wav: the file, a string scalar.
      rate_hz: the only sample rate allowed.

    Raises:
      InvalidArgumentError: at run time, if the file is not 16-bit PCM at this rate, or is cut.
    """
    found = _find_chunks(wav)
    at = found.format_at
    code, channels = _number(wav, at, 2), _number(wav, at + 2, 2)
    rate, frame_bytes, bits = (
        _number(wav, at + 4, 4), _number(wav, at + 12, 2), _number(wav, at + 14, 2),
    )  # fmt: skip
    is_extensible = (code == _EXTENSIBLE) & (_bytes(wav, at + 26, len(_SUBFORMAT)) == _SUBFORMAT)
    code = tf.where(is_extensible, _number(wav, at + 24, 2), code)
    there = tf.cast(tf.strings.length(wav) - found.data_at, tf.int64)
    is_open = (found.data_bytes == 0) | (found.data_bytes >= UNKNOWN_LENGTH_32)
    is_riff = (_bytes(wav, 0, 4) == b"RIFF") & (_bytes(wav, 8, 4) == b"WAVE")
    check = _refuse_first(
        f"audio: the model takes 16-bit PCM WAV files at {rate_hz} Hz; ",
        [
            (~is_riff, "this is no WAV file, as it does not begin with RIFF and WAVE"),
            (found.format_bytes < 16, "this one has no format chunk before its samples"),
            (code != _PCM, _words("this one has the format code", code, "instead of 1, PCM")),
            (bits != 16, _words("this one has", bits, "bits per sample")),
            (rate != rate_hz, _words("this one has", rate, "Hz")),
            (
                (channels == 0) | (frame_bytes != 2 * channels),
                _words(
                    "this one's header is damaged:", channels, "channels in", frame_bytes, "bytes"
                ),
            ),
            (found.data_at == 0, "this one has no samples (no data chunk)"),
            (
                ~is_open & (found.data_bytes > there),
                _words(
                    "this one is cut:", there, "bytes of samples of", found.data_bytes, "are there"
                ),
            ),
        ],
    )
    with tf.control_dependencies([check]):
        size = tf.where(is_open, there, found.data_bytes)
        whole = tf.cast(size // frame_bytes * frame_bytes, tf.int32)
        pcm = tf.io.decode_raw(tf.strings.substr(wav, found.data_at, whole), tf.int16)
    return tf.cast(tf.reshape(pcm, [-1, tf.cast(channels, tf.int32)]), tf.float32) * _SCALE


def _find_chunks(wav: tf.Tensor) -> _Chunks:
    length = tf.strings.length(wav)

    def look(found: _Chunks) -> tuple[_Chunks]:
        name = _bytes(wav, found.position, 4)
        size = _number(wav, found.position + 4, 4)
        content = found.position + 8
        is_format, is_data = name == b"fmt ", name == b"data"
        # A position fits into int32, as a longer file does not fit into a request.
        bytes_there = tf.cast(tf.minimum(size, tf.cast(length - content, tf.int64)), tf.int32)
        end = content + bytes_there
        # Chunks begin at even places. Programs that forget this leave no zero byte between.
        is_padded = (size % 2 == 1) & (_bytes(wav, end, 1) == b"\0")
        return (
            _Chunks(
                position=end + tf.cast(is_padded, tf.int32),
                format_at=tf.where(is_format, content, found.format_at),
                format_bytes=tf.where(is_format, bytes_there, found.format_bytes),
                data_at=tf.where(is_data, content, found.data_at),
                data_bytes=tf.where(is_data, size, found.data_bytes),
            ),
        )

    zero = tf.constant(0)
    start = _Chunks(tf.constant(12), zero, zero, zero, tf.constant(0, tf.int64))
    (found,) = tf.while_loop(
        lambda found: (found.data_at == 0) & (found.position + 8 <= length),
        look,
        [start],
        maximum_iterations=MAX_CHUNKS,
        parallel_iterations=1,
    )
    return found


def _refuse_first(begin: str, faults: Sequence[tuple[tf.Tensor, tf.Tensor | str]]) -> tf.Operation:
    """Return an assertion that no fault is there, with the words for the first one that is.

    Args:
      begin: of the message.
      faults: whether each is there, a bool scalar, and its words.
    """
    message = tf.constant("")
    for is_there, words in reversed(faults):
        message = tf.where(is_there, tf.strings.join([begin, words]), message)
    return tf.debugging.Assert(message == "", [message])


def _words(*parts: str | tf.Tensor) -> tf.Tensor:
    """Return texts and numbers as one text, with spaces between them."""
    texts = [part if isinstance(part, str) else tf.strings.as_string(part) for part in parts]
    return tf.strings.join(texts, " ")


def _bytes(wav: tf.Tensor, position: tf.Tensor | int, count: int) -> tf.Tensor:
    """Return bytes as a string; beyond the end they are "\\xff"."""
    inside = tf.minimum(position, tf.strings.length(wav))
    some = tf.strings.substr(wav, inside, count)
    return tf.strings.substr(tf.strings.join([some, b"\xff" * count]), 0, count)


def _number(wav: tf.Tensor, position: tf.Tensor, count: int) -> tf.Tensor:
    """Return an unsigned little-endian number of 2 or 4 bytes as int64."""
    halves = tf.cast(tf.io.decode_raw(_bytes(wav, position, count), tf.uint16), tf.int64)
    return tf.reduce_sum(halves * [1, 1 << 16][: count // 2])
