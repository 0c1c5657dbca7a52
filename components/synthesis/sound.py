"""Sound sources: monophonic lines from wavetables, and one-shot percussion.

Everything is float32 at SAMPLE_RATE_HZ and works on whole arrays. Slow signals
(envelopes, pitch) are computed once every CONTROL_SAMPLES samples and interpolated.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

Signal = npt.NDArray[np.float32]
Control = npt.NDArray[np.float64]

# Half of most files' rate. The models' front end uses nothing above 11,025 Hz, and half the
# samples are half the work.
SAMPLE_RATE_HZ = 22050
CONTROL_SAMPLES = 32
TABLE_SAMPLES = 2048
# Highest harmonic in a wavetable: below the Nyquist frequency, with room for vibrato.
MAX_HARMONIC_HZ = 10000.0


@dataclasses.dataclass(frozen=True)
class Notes:
    """Monophonic line: float64 arrays `[notes]`, sorted by onset.

    Attributes:
      onset_s: onsets in seconds.
      duration_s: durations in seconds.
      midi: pitches (69 is 440 Hz, fractions allowed).
      velocity: linear loudness.
    """

    onset_s: Control
    duration_s: Control
    midi: Control
    velocity: Control


@dataclasses.dataclass(frozen=True)
class Timbre:
    """Timbre of a line: the sum of a dull and a bright wave with envelopes of their own.

    Attributes:
      dull: amplitudes of the dull wave's harmonics, from the first.
      bright: amplitudes of the bright wave's harmonics, from the first.
      attack_s: length of the attack.
      decay_s: time constant in which the dull wave decays to `sustain`.
      bright_decay_s: time constant in which the bright wave decays to `bright_sustain`.
      sustain: level of the dull wave while a note is held.
      bright_sustain: level of the bright wave while a note is held.
      release_s: length of the release.
      glide_s: time constant of the slide from the previous note; 0 for none.
      vibrato_semitones: depth of the vibrato.
      vibrato_hz: rate of the vibrato.
      sweep_hz: rate at which the bright wave swells; 0 for none.
    """

    dull: Control
    bright: Control
    attack_s: float = 0.005
    decay_s: float = 0.5
    bright_decay_s: float = 0.15
    sustain: float = 0.0
    bright_sustain: float = 0.0
    release_s: float = 0.03
    glide_s: float = 0.0
    vibrato_semitones: float = 0.0
    vibrato_hz: float = 5.5
    sweep_hz: float = 0.0


def samples_in(seconds: float) -> int:
    """Return the number of samples in a time, rounded, at SAMPLE_RATE_HZ."""
    return round(seconds * SAMPLE_RATE_HZ)


def midi_to_hz(midi: Control) -> Control:
    """Convert MIDI pitches to Hz: equal temperament, 69 is 440 Hz."""
    return 440.0 * 2.0 ** ((np.asarray(midi, dtype=np.float64) - 69.0) / 12.0)


def harmonics(count: int, slope: float, odd: float = 1.0) -> Control:
    """Return amplitudes 1/k**slope for k = 1..count, with even harmonics multiplied by `odd`."""
    order = np.arange(1, count + 1, dtype=np.float64)
    return order**-slope * np.where(order % 2 == 0, odd, 1.0)


def formants(pitch_hz: float, centres_hz: tuple[float, ...], count: int = 24) -> Control:
    """Return a voice's amplitudes: a falling source with resonances about 120 Hz wide."""
    order = np.arange(1, count + 1, dtype=np.float64)
    frequency = order * pitch_hz
    curve = np.full(count, 0.02)
    for rank, centre in enumerate(centres_hz):
        width = 90.0 + 0.06 * centre
        curve += 0.7**rank / (1.0 + ((frequency - centre) / width) ** 2)
    return curve * order**-0.3


def control_times(samples: int) -> Control:
    """Return the times, in seconds, of the control points that span `samples`, `[points]`."""
    points = samples // CONTROL_SAMPLES + 2
    return np.arange(points) * (CONTROL_SAMPLES / SAMPLE_RATE_HZ)


def to_audio_rate(control: Control, samples: int) -> Signal:
    """Interpolate `[points]` at control_times linearly to float32 `[samples]`."""
    ramp = np.arange(CONTROL_SAMPLES, dtype=np.float32) / CONTROL_SAMPLES
    coarse = control.astype(np.float32)
    return (coarse[:-1, None] + np.diff(coarse)[:, None] * ramp).reshape(-1)[:samples]


def _wavetable(amplitudes: Control, highest_hz: float) -> Signal:
    kept = amplitudes[: max(1, int(MAX_HARMONIC_HZ / highest_hz))]
    spectrum = np.zeros(TABLE_SAMPLES // 2 + 1, dtype=np.complex128)
    # Phases proportional to the squared order keep the wave's peak low.
    order = np.arange(1, len(kept) + 1)
    spectrum[1 : len(kept) + 1] = kept * np.exp(-1j * np.pi * order**2 / len(kept))
    table = np.fft.irfft(spectrum)
    return (table / (np.sqrt(np.mean(table**2)) + 1e-12)).astype(np.float32)


def render_line(notes: Notes, timbre: Timbre, samples: int) -> Signal:
    """Render a line, `[samples]`; a note of velocity 1 has about 0.3 RMS."""
    if len(notes.onset_s) == 0:
        return np.zeros(samples, dtype=np.float32)
    times = control_times(samples)
    index = np.searchsorted(notes.onset_s, times, side="right") - 1
    sounding = index >= 0
    index = np.maximum(index, 0)
    since = times - notes.onset_s[index]
    semitones = notes.midi[index]
    if timbre.glide_s > 0:
        before = notes.midi[np.maximum(index - 1, 0)]
        semitones = semitones + (before - semitones) * np.exp(-since / timbre.glide_s)
    if timbre.vibrato_semitones > 0:
        depth = timbre.vibrato_semitones * np.clip((since - 0.08) / 0.15, 0, 1)
        semitones = semitones + depth * np.sin(2 * np.pi * timbre.vibrato_hz * times)
    hertz = midi_to_hz(semitones)
    gate = np.clip(since / timbre.attack_s, 0, 1)
    gate *= np.clip(1 + (notes.duration_s[index] - since) / timbre.release_s, 0, 1)
    gate *= notes.velocity[index] * sounding
    held = np.maximum(since, 0)
    dull = timbre.sustain + (1 - timbre.sustain) * np.exp(-held / timbre.decay_s)
    bright = timbre.bright_sustain + (1 - timbre.bright_sustain) * np.exp(
        -held / timbre.bright_decay_s
    )
    if timbre.sweep_hz > 0:
        bright = bright * (0.5 - 0.5 * np.cos(2 * np.pi * timbre.sweep_hz * times))
    turns = np.cumsum(to_audio_rate(hertz, samples), dtype=np.float64) / SAMPLE_RATE_HZ
    place = (turns * TABLE_SAMPLES).astype(np.int64) & (TABLE_SAMPLES - 1)
    highest = float(hertz.max())
    line = _wavetable(timbre.dull, highest)[place] * to_audio_rate(gate * dull, samples)
    line += _wavetable(timbre.bright, highest)[place] * to_audio_rate(gate * bright, samples)
    return 0.3 * line


def place_hits(
    shot: Signal, onsets_s: Control, velocities: Control, samples: int, out: Signal | None = None
) -> Signal:
    """Add a one-shot sound at each onset.

    Args:
      shot: the sound.
      onsets_s: onsets in seconds; negative ones are cut.
      velocities: linear loudness of each hit.
      samples: length of the result.
      out: array `[samples]` to add to; None for a new one.

    Returns:
      float32 `[samples]`.
    """
    result = np.zeros(samples, dtype=np.float32) if out is None else out
    for onset_s, velocity in zip(onsets_s, velocities, strict=True):
        start = samples_in(float(onset_s))
        first, last = max(start, 0), min(start + len(shot), samples)
        if first < last:
            result[first:last] += np.float32(velocity) * shot[first - start : last - start]
    return result


def _time(seconds: float) -> Control:
    return np.arange(samples_in(seconds)) / SAMPLE_RATE_HZ


def thump(base_hz: float, bend: float, decay_s: float, click: float = 0.0) -> Signal:
    """Return a drum with a falling pitch: kick, tom or hand drum."""
    time = _time(6 * decay_s)
    hertz = base_hz * (1 + bend * np.exp(-time / 0.02))
    body = np.sin(2 * np.pi * np.cumsum(hertz) / SAMPLE_RATE_HZ) * np.exp(-time / decay_s)
    body += click * np.sin(2 * np.pi * 1800 * time) * np.exp(-time / 0.003)
    return (body * np.minimum(time / 0.001, 1)).astype(np.float32)


def noise_hit(
    rng: np.random.Generator, centre_hz: float, width_hz: float, decay_s: float
) -> Signal:
    """Return a burst of band-limited noise: snare wires, hats, claps, shakers."""
    time = _time(6 * decay_s)
    spectrum = np.fft.rfft(rng.standard_normal(len(time)))
    hertz = np.fft.rfftfreq(len(time), 1 / SAMPLE_RATE_HZ)
    spectrum *= 1 / (1 + ((hertz - centre_hz) / width_hz) ** 4)
    burst = np.fft.irfft(spectrum, len(time)) * np.exp(-time / decay_s)
    burst *= np.minimum(time / 0.001, 1)
    return (burst / (np.abs(burst).max() + 1e-12)).astype(np.float32)


def bell(hertz: float, ratios: Control, decay_s: float) -> Signal:
    """Return a struck sound of inharmonic partials, of which higher ones decay faster."""
    time = _time(4 * decay_s)
    tone = np.zeros(len(time))
    for rank, ratio in enumerate(ratios):
        if hertz * ratio < MAX_HARMONIC_HZ:
            fade = np.exp(-time * (1 + 0.6 * rank) / decay_s)
            tone += 0.8**rank * np.sin(2 * np.pi * hertz * ratio * time) * fade
    return (tone * np.minimum(time / 0.002, 1) / len(ratios)).astype(np.float32)
