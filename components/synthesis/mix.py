"""Mixing and recording conditions, the same for all genres.

Equaliser, room, noise and level vary far more than the genres' mean spectra differ. So the mean
spectrum alone says little about the genre.
"""

from __future__ import annotations

import numpy as np
import scipy.fft

from components.synthesis.sound import SAMPLE_RATE_HZ, Control, Signal


def balance(layer: Signal, level_db: float) -> Signal:
    """Scale a layer to 0.1 RMS plus `level_db`; leave silence as it is."""
    rms = float(np.sqrt(np.mean(np.square(layer, dtype=np.float64))))
    if rms < 1e-6:
        return layer
    return layer * np.float32(0.1 * 10 ** (level_db / 20) / rms)


def overdrive(mix: Signal, drive: float) -> Signal:
    """Saturate the mix softly, from drive 0 (no effect) to 1 (heavy distortion)."""
    if drive <= 0:
        return mix
    rms = float(np.sqrt(np.mean(np.square(mix, dtype=np.float64)))) + 1e-9
    gain = np.float32(0.15 * (1 + 8 * drive) / rms)
    return np.tanh(mix * gain) * np.float32(0.2)


def _equaliser_db(
    rng: np.random.Generator, hertz: Control, tilt_db: float, wobble_db: float
) -> Control:
    """Return gains in dB: a tilt about 1 kHz, three broad bells, and roll-offs at both ends."""
    octaves = np.log2(np.maximum(hertz, 20) / 1000)
    curve = tilt_db * octaves
    for _ in range(3):
        centre, width = rng.uniform(-4, 3.3), rng.uniform(0.4, 1.5)
        curve = curve + rng.normal(0, wobble_db) * np.exp(-(((octaves - centre) / width) ** 2))
    low_cut, high_cut = rng.uniform(20, 90), np.exp(rng.uniform(np.log(4500), np.log(14000)))
    curve -= 10 * np.log10(1 + (low_cut / np.maximum(hertz, 1)) ** 4)
    curve -= 10 * np.log10(1 + (hertz / high_cut) ** 8)
    return curve


def record(
    rng: np.random.Generator,
    mix: Signal,
    *,
    tilt_db: float,
    wobble_db: float,
    noise_db: float,
    reverb: float,
    room_s: float,
) -> Signal:
    """Record the mix through a room and an equaliser, with background noise.

    Args:
      rng: draws the room, the equaliser and the noise.
      mix: `[samples]`.
      tilt_db: the equaliser's slope in dB per octave about 1 kHz.
      wobble_db: deviation of the equaliser's bells in dB.
      noise_db: level of the noise relative to the mix's RMS.
      reverb: share of the room's sound, in [0, 1].
      room_s: time in seconds in which the room's sound decays to 1/e.

    Returns:
      float32 `[samples]`, not normalised.
    """
    samples = len(mix)
    size = scipy.fft.next_fast_len(samples + int(3 * room_s * SAMPLE_RATE_HZ), real=True)
    hertz = np.arange(size // 2 + 1) * (SAMPLE_RATE_HZ / size)
    # All in float64, as versions of NumPy, SciPy and the C library round float32 differently.
    spectrum = scipy.fft.rfft(mix.astype(np.float64), size)
    tail = np.arange(int(3 * room_s * SAMPLE_RATE_HZ))
    room = rng.standard_normal(len(tail))
    room *= np.exp(-tail / (room_s * SAMPLE_RATE_HZ))
    room /= np.sqrt(np.sum(np.square(room))) + 1e-9
    wet = scipy.fft.rfft(room, size) / (1 + (hertz / 4000) ** 2)
    spectrum = spectrum * (1 - 0.5 * reverb + reverb * wet)
    # Pink to brown noise, in the frequency domain, scaled to `noise_db`.
    colour = rng.uniform(0.2, 1.2)
    noise = rng.standard_normal((2, len(hertz)))
    hiss = (noise[0] + 1j * noise[1]) / np.maximum(hertz, 40) ** colour
    power = np.sqrt(np.mean(np.abs(spectrum) ** 2) / (np.mean(np.abs(hiss) ** 2) + 1e-30))
    spectrum = spectrum + hiss * (power * 10 ** (noise_db / 20))
    spectrum = spectrum * 10 ** (_equaliser_db(rng, hertz, tilt_db, wobble_db) / 20)
    return scipy.fft.irfft(spectrum, size)[:samples].astype(np.float32)
