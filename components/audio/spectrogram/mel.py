"""The reference of all front ends: mel spectrograms as librosa computes them, for the examples."""

from __future__ import annotations

import functools

import librosa
import numpy as np
import numpy.typing as npt
import scipy.fft
import scipy.sparse

from components.audio.params import AudioParams


@functools.lru_cache(maxsize=8)
def mel_filterbank(params: AudioParams) -> npt.NDArray[np.float32]:
    """Return Slaney-normalised triangular filters, float32 `[n_mels, fft_samples // 2 + 1]`."""
    return librosa.filters.mel(
        sr=params.sample_rate_hz, n_fft=params.fft_samples, n_mels=params.n_mels
    )


@functools.lru_cache(maxsize=8)
def _sparse_filterbank(params: AudioParams) -> scipy.sparse.csr_matrix:
    """Return the filters in float64. 97 % of the usual ones' entries are 0."""
    return scipy.sparse.csr_matrix(mel_filterbank(params).astype(np.float64))


@functools.lru_cache(maxsize=8)
def _window(fft_samples: int) -> npt.NDArray[np.float64]:
    return librosa.filters.get_window("hann", fft_samples, fftbins=True)


def log_mel(clips: npt.NDArray[np.float32], params: AudioParams) -> npt.NDArray[np.float32]:
    """Return the mel spectrograms of a batch of clips, in dB.

    Args:
      clips: float32 `[clips, clip_samples]`, mono at `params.sample_rate_hz`.

    Returns:
      float32 `[clips, n_mels, frames]` in [-80, 0], the levels of the front end.

    Raises:
      ValueError: the clips have another length.
    """
    if clips.ndim != 2 or clips.shape[1] != params.clip_samples:
        raise ValueError(f"clips must have shape [clips, {params.clip_samples}], not {clips.shape}")
    # The spectra are bit-identical to librosa.stft on a batch, in two thirds of the time: clip by
    # clip, with contiguous frames, everything stays in the cache. The bands are sums in float64,
    # which are rounded once: a product in float32 has other last bits with each BLAS.
    filters = _sparse_filterbank(params)
    window = _window(params.fft_samples)
    edge = params.fft_samples // 2
    padded = np.zeros(params.clip_samples + 2 * edge)
    frames = np.lib.stride_tricks.sliding_window_view(padded, params.fft_samples)
    frames = frames[:: params.hop_samples][: params.frames]
    mel_power = np.empty((len(clips), params.n_mels, params.frames), np.float32)
    for clip, bands in zip(clips, mel_power, strict=True):
        padded[edge:-edge] = clip
        spectrum = scipy.fft.rfft(frames * window, overwrite_x=True).astype(np.complex64)
        squares = np.square(spectrum.view(np.float32))
        bands[:] = filters @ (squares[:, ::2] + squares[:, 1::2]).T
    return params.front.levels(mel_power)
