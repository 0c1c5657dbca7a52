"""The log-mel front end as a TensorFlow graph: the twin of `components.audio.spectrogram.mel`.

A served model turns waveforms into pictures with this, and was trained on pictures
that `components.audio.spectrogram.mel` made by librosa. Both must be the same picture.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.audio.params import DYNAMIC_RANGE_DB, POWER_FLOOR, AudioParams
from components.audio.spectrogram.mel import mel_filterbank
from components.audio.spectrogram.stored import STORED_STEPS_PER_DB


def log_mel(waveform: tf.Tensor, params: AudioParams) -> tf.Tensor:
    """dB mel spectrograms of a batch of clips, by core TensorFlow operations alone.

    The Fourier transform runs in float64, as librosa's does (its window is float64, and
    the product with float32 samples too). In float32 the noise of the transform shows in
    the bands 80 dB below a pure tone: 1.7e-3 dB against 2.3e-5, for 25 % of the time.

    Args:
      waveform: float32 `[batch, clip_samples]`, mono at `params.sample_rate_hz`.

    Returns:
      float32 `[batch, n_mels, frames]` in [-80, 0], relative to each clip's own peak;
      `components.audio.spectrogram.mel.log_mel` within 1e-3 dB down to 60 dB below the peak and
      within 5e-3 dB down to 80.

    Raises:
      InvalidArgumentError (at run time; ValueError where the static shape tells): clips
      of another length.
    """
    waveform = tf.ensure_shape(waveform, [None, params.clip_samples])
    edge = params.fft_samples // 2
    padded = tf.pad(tf.cast(waveform, tf.float64), [[0, 0], [edge, edge]])
    frames = tf.signal.frame(padded, params.fft_samples, params.hop_samples)
    spectrum = tf.signal.rfft(frames * tf.constant(_periodic_hann(params.fft_samples)))
    spectrum = tf.cast(spectrum, tf.complex64)
    power = tf.square(tf.math.real(spectrum)) + tf.square(tf.math.imag(spectrum))
    # [batch, frames, bins] x [bins, n_mels], as one matrix product.
    mel_power = tf.tensordot(power, tf.constant(mel_filterbank(params).T), axes=1)
    return tf.transpose(power_to_db(mel_power), [0, 2, 1])


def power_to_db(power: tf.Tensor) -> tf.Tensor:
    """float32 `[clips, a, b]` power to dB below each clip's own peak, floor -80 dB.

    `components.audio.spectrogram.mel.power_to_db`; the order of the last two axes does not matter.
    The quotient, and not librosa's difference of logarithms: it is 0 dB exactly at the
    peak, whichever of TensorFlow's two logarithms (one value, or eight at a time) runs.
    """
    peak = tf.maximum(tf.reduce_max(power, axis=[1, 2], keepdims=True), POWER_FLOOR)
    nepers = tf.math.log(tf.maximum(power, POWER_FLOOR) / peak)
    return tf.maximum(nepers * (10.0 / np.log(10.0)), -DYNAMIC_RANGE_DB)


def stored_rounding(mel_db: tf.Tensor) -> tf.Tensor:
    """Round float32 dB as stored examples do: the twin of components.audio.spectrogram.stored."""
    steps = tf.round((mel_db + DYNAMIC_RANGE_DB) * STORED_STEPS_PER_DB)
    return steps * (1 / STORED_STEPS_PER_DB) - DYNAMIC_RANGE_DB


def _periodic_hann(samples: int) -> npt.NDArray[np.float64]:
    """The periodic Hann window, float64 `[samples]`: scipy.signal.get_window("hann")."""
    return 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(samples) / samples)
