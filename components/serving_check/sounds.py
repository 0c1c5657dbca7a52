"""Synthetic sounds, the same in every run.

They have 16 bits, so that a waveform and a WAV file hold exactly the same samples.
"""

from __future__ import annotations

import io
import wave

import numpy as np
import numpy.typing as npt

from components.audio.params import AudioParams

FULL_SCALE = 1 << 15
AMPLITUDE = 0.5
# Noise is added to every sound, as in a recording. Most of a pure tone's spectrogram is rounding
# error, in which two correct programs differ.
NOISE_AMPLITUDE = 0.003
SEED = 20160
LONG_CLIPS = 2.5


def short_sounds(params: AudioParams) -> dict[str, npt.NDArray[np.int16]]:
    """Return sounds of one clip by name, int16 `[clip_samples]`."""
    rate, samples = params.sample_rate_hz, params.clip_samples
    times = np.arange(samples) / rate
    rng = np.random.default_rng(SEED)
    tone = np.sin(2 * np.pi * 0.04 * rate * times)
    beats = 0.5 * tone + 0.5 * np.sin(2 * np.pi * 0.043 * rate * times)
    made = {
        "tone": tone,
        "beats": beats,
        "chirp": _chirp(params, samples),
        "noise": 0.5 * rng.standard_normal(samples),
    }
    return {name: _quantised(sound, rng) for name, sound in made.items()}


def long_sound(params: AudioParams) -> npt.NDArray[np.int16]:
    """Return a sound of two and a half clips, of which a model uses the first two; int16."""
    samples = round(LONG_CLIPS * params.clip_samples)
    return _quantised(_chirp(params, samples), np.random.default_rng(SEED + 1))


def waveform(pcm: npt.NDArray[np.int16]) -> npt.NDArray[np.float32]:
    """Return 16-bit samples as a model's waveform: float32, full scale is 1."""
    return pcm.astype(np.float32) / np.float32(FULL_SCALE)


def wav_bytes(pcm: npt.NDArray[np.int16], sample_rate_hz: int) -> bytes:
    """Return the content of a mono 16-bit PCM WAV file."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate_hz)
        file.writeframes(pcm.astype("<i2").tobytes())
    return buffer.getvalue()


def _chirp(params: AudioParams, samples: int) -> npt.NDArray[np.float64]:
    """Return a tone whose frequency rises evenly, from 1 % to 40 % of the sample rate."""
    rate = params.sample_rate_hz
    hertz = np.linspace(0.01 * rate, 0.4 * rate, samples)
    return np.asarray(np.sin(2 * np.pi * np.cumsum(hertz) / rate))


def _quantised(sound: npt.NDArray[np.float64], rng: np.random.Generator) -> npt.NDArray[np.int16]:
    mixed = AMPLITUDE * sound + NOISE_AMPLITUDE * rng.standard_normal(len(sound))
    return np.rint(np.clip(mixed, -0.99, 0.99) * FULL_SCALE).astype(np.int16)
