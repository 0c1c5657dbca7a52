"""Chord layers: pads, plucks, strums, piano, distorted guitars, stabs and drones."""

from __future__ import annotations

import numpy as np

from components.synthesis.score import Score
from components.synthesis.sound import (
    Control,
    Notes,
    Signal,
    Timbre,
    control_times,
    harmonics,
    render_line,
    to_audio_rate,
)


def _voices(
    score: Score,
    chords: list[tuple[float, float, list[float], float]],
    timbre: Timbre,
    stagger_s: float = 0.0,
) -> Signal:
    """Render chords as one line per chord tone.

    Args:
      score: the track's score.
      chords: (onset in seconds, duration in seconds, MIDI pitches, velocity) of each chord.
      timbre: timbre of all lines.
      stagger_s: delay of each chord tone after the one below it.
    """
    out = np.zeros(score.samples, dtype=np.float32)
    if not chords:
        return out
    size = min(len(pitches) for _, _, pitches, _ in chords)
    for voice in range(size):
        notes = Notes(
            np.array([onset + stagger_s * voice for onset, _, _, _ in chords]),
            np.array([duration for _, duration, _, _ in chords]),
            np.array([pitches[voice] for _, _, pitches, _ in chords]),
            np.array([velocity for _, _, _, velocity in chords]),
        )
        out += render_line(notes, timbre, score.samples)
    return out / np.float32(np.sqrt(size))


def _own(score: Score, count: int = 20) -> Control:
    return harmonics(count, score.artist.harmonic_slope, score.artist.odd)


def pad(score: Score, pumped: bool = False) -> Signal:
    """Render slow, swelling chords, one per bar; `pumped` ducks them on every beat."""
    chords = [
        (score.offset_s + bar * score.bar_s, score.bar_s, score.chord(bar, 4), 1.0)
        for bar in range(score.bars)
    ]
    timbre = Timbre(
        dull=_own(score),
        bright=harmonics(30, 0.9),
        attack_s=0.05 if pumped else 0.25 + 0.5 * score.artist.attack,
        decay_s=4.0,
        bright_decay_s=1.0,
        sustain=0.8,
        bright_sustain=0.4 * score.artist.brightness,
        release_s=0.3,
        sweep_hz=score.rng.uniform(0.1, 0.4),
    )
    out = _voices(score, chords, timbre)
    if pumped:
        beat = 4 * score.step_s
        phase = ((control_times(score.samples) - score.offset_s) % beat) / beat
        out *= to_audio_rate(np.clip(0.1 + 1.5 * phase, 0, 1), score.samples)
    return out


def picking(score: Score) -> Signal:
    """Render plucked strings: chord tones one after another, in eighths or triplets."""
    rng = score.rng
    per_bar = int(rng.choice([8, 8, 12]))
    order = rng.permutation([0, 1, 2, 3, 2, 1])
    onsets, midi = [], []
    for bar in range(score.bars):
        tones = score.chord(bar, 4)
        steps = np.arange(per_bar) * (score.steps_per_bar / per_bar)
        onsets += list(score.step_times(bar, steps))
        midi += [tones[order[k % 6]] for k in range(per_bar)]
    velocity = rng.uniform(0.5, 1.0, len(onsets))
    timbre = _string(score)
    out = np.zeros(score.samples, dtype=np.float32)
    # Three strings alternate, so that neighbouring notes overlap.
    for string in range(3):
        notes = Notes(
            np.array(onsets[string::3]),
            np.full(len(onsets[string::3]), 1.5),
            np.array(midi[string::3]),
            velocity[string::3],
        )
        out += render_line(notes, timbre, score.samples)
    return out


def _string(score: Score) -> Timbre:
    return Timbre(
        dull=harmonics(12, 1.4),
        bright=harmonics(40, 0.7),
        attack_s=0.003,
        decay_s=0.25 + 0.35 * score.artist.attack,
        bright_decay_s=0.05 + 0.08 * score.artist.brightness,
    )


def strum(score: Score) -> Signal:
    """Render strummed chords, whose strings follow each other by about 15 ms."""
    rng = score.rng
    pattern = [0, 4, 6, 10, 12, 14] if rng.random() < 0.5 else [0, 4, 8, 10, 12]
    chords = []
    for bar in range(score.bars):
        for time in score.step_times(bar, np.array(pattern)):
            chords.append((float(time), 0.8, score.chord(bar, 4), rng.uniform(0.5, 1)))
    return _voices(score, chords, _string(score), stagger_s=rng.uniform(0.008, 0.022))


def piano(score: Score, sparse: bool = False) -> Signal:
    """Render struck chords on the beats, or slow broken chords if `sparse`."""
    rng = score.rng
    chords = []
    steps = np.array([0.0, 6.0, 10.0]) if sparse else np.array([0.0, 4.0, 8.0, 12.0])
    for bar in range(score.bars):
        for rank, time in enumerate(score.step_times(bar, steps)):
            tones = score.chord(bar, 4)
            picked = [tones[rank % 4], tones[(rank + 2) % 4]] if sparse else tones[:3]
            chords.append((float(time), 3.0, picked, rng.uniform(0.6, 1)))
    timbre = Timbre(
        dull=harmonics(8, 1.8),
        bright=harmonics(25, 1.0),
        attack_s=0.004,
        decay_s=0.9,
        bright_decay_s=0.18,
        release_s=0.15,
    )
    return _voices(score, chords, timbre)


def power_chords(score: Score) -> Signal:
    """Render root, fifth and octave through an overdriven amplifier, in palm-muted eighths."""
    rng = score.rng
    pattern = np.array([0, 2, 4, 6, 8, 10, 12, 14]) if rng.random() < 0.6 else np.array([0, 6, 8])
    chords = []
    for bar in range(score.bars):
        root = 40.0 + (score.chord(bar)[0] - 40.0) % 12.0
        times = score.step_times(bar, pattern)
        lengths = np.diff(times, append=score.offset_s + (bar + 1) * score.bar_s)
        for time, length in zip(times, lengths, strict=True):
            tones = [root, root + 7, root + 12]
            chords.append((float(time), 0.85 * float(length), tones, rng.uniform(0.8, 1)))
    timbre = Timbre(
        dull=harmonics(12, 1.0),
        bright=harmonics(30, 0.8),
        decay_s=1.5,
        bright_decay_s=0.3,
        sustain=0.5,
        bright_sustain=0.2,
    )
    clean = _voices(score, chords, timbre)
    gain = rng.uniform(4, 14)
    return (0.35 * np.tanh(gain * clean)).astype(np.float32)


def stabs(score: Score) -> Signal:
    """Render short synthetic chords between the beats."""
    rng = score.rng
    pattern = np.array([[3, 6, 11, 14], [2, 5, 10, 13], [3, 6, 9, 12]][rng.integers(3)])
    chords = []
    for bar in range(score.bars):
        for time in score.step_times(bar, pattern):
            chords.append((float(time), 0.12, score.chord(bar), 1.0))
    timbre = Timbre(
        dull=_own(score),
        bright=harmonics(30, 0.7),
        decay_s=0.2,
        bright_decay_s=0.1,
        sweep_hz=0.2,
    )
    return _voices(score, chords, timbre)


def drone(score: Score) -> Signal:
    """Render a held root and fifth, with slow beating of the upper partials."""
    root = 38.0 + (score.root_midi - 38.0) % 12.0
    timbre = Timbre(
        dull=_own(score, 30),
        bright=harmonics(40, 0.6),
        attack_s=0.3,
        decay_s=10.0,
        bright_decay_s=10.0,
        sustain=1.0,
        bright_sustain=0.6,
        sweep_hz=score.rng.uniform(0.3, 1.2),
    )
    return _voices(score, [(-1.0, score.seconds + 2, [root, root + 7.03], 1.0)], timbre)
