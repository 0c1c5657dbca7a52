"""Sounds that every run sends alike: made, 16-bit, and so the same as numbers and as WAV."""

from __future__ import annotations

import io
import wave

import numpy as np
import numpy.typing as npt

from components.audio.params import AudioParams

FULL_SCALE = 1 << 15
AMPLITUDE = 0.5
# Under everything lies a noise as a recording has it: with nothing but a pure tone most of a
# spectrogram is rounding, in which two programs rightly differ.
FLOOR = 0.003
SEED = 20160
LONG_CLIPS = 2.5


def windows(params: AudioParams) -> dict[str, npt.NDArray[np.int16]]:
    """Name to one clip, int16 `[clip_samples]`."""
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


def long_window(params: AudioParams) -> npt.NDArray[np.int16]:
    """A sound of two and a half clips, of which a model hears the first two."""
    samples = round(LONG_CLIPS * params.clip_samples)
    return _quantised(_chirp(params, samples), np.random.default_rng(SEED + 1))


def waveform(pcm: npt.NDArray[np.int16]) -> npt.NDArray[np.float32]:
    """What a model takes: float32, full scale is 1."""
    return pcm.astype(np.float32) / np.float32(FULL_SCALE)


def wav_bytes(pcm: npt.NDArray[np.int16], sample_rate_hz: int) -> bytes:
    """A mono 16-bit PCM WAV file."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate_hz)
        file.writeframes(pcm.astype("<i2").tobytes())
    return buffer.getvalue()


def _chirp(params: AudioParams, samples: int) -> npt.NDArray[np.float64]:
    """From low to high: the frequency rises evenly through most of what the rate can hold."""
    rate = params.sample_rate_hz
    hertz = np.linspace(0.01 * rate, 0.4 * rate, samples)
    return np.asarray(np.sin(2 * np.pi * np.cumsum(hertz) / rate))


def _quantised(sound: npt.NDArray[np.float64], rng: np.random.Generator) -> npt.NDArray[np.int16]:
    mixed = AMPLITUDE * sound + FLOOR * rng.standard_normal(len(sound))
    return np.rint(np.clip(mixed, -0.99, 0.99) * FULL_SCALE).astype(np.int16)
