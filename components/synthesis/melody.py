"""Lead layers (voices, rap, arpeggios, ornamented leads) and free textures."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from components.synthesis.score import Score
from components.synthesis.sound import (
    Control,
    Notes,
    Signal,
    Timbre,
    bell,
    formants,
    harmonics,
    midi_to_hz,
    noise_hit,
    place_hits,
    render_line,
)

VOWELS_HZ = ((730.0, 1090.0, 2440.0), (530.0, 1840.0, 2480.0), (570.0, 840.0, 2410.0))


def _walk(score: Score, count: int, span: int = 7, leap: int = 2) -> npt.NDArray[np.int64]:
    """Return a random walk of scale degrees in [-span // 2, span]."""
    degree = int(score.rng.integers(0, 5))
    degrees = []
    for move in score.rng.integers(-leap, leap + 1, count):
        degree = int(np.clip(degree + move, -(span // 2), span))
        degrees.append(degree)
    return np.array(degrees)


def _phrase_times(score: Score, lengths: tuple[int, ...], rest: float) -> Control:
    """Return onsets, in seconds, of notes of random lengths.

    Args:
      score: the track's score.
      lengths: lengths to choose from, in sixteenths.
      rest: share of the notes to leave out.
    """
    total = score.bars * score.steps_per_bar
    steps = np.cumsum(score.rng.choice(lengths, total))
    steps = steps[steps < total]
    keep = steps[score.rng.random(len(steps)) >= rest]
    return score.offset_s + keep * score.step_s


def sung(score: Score) -> Signal:
    """Render a sung melody with vowels, slides between notes and vibrato."""
    onsets = _phrase_times(score, (2, 4, 4, 6, 8), 0.15)
    midi = np.array([score.pitch(d) for d in _walk(score, len(onsets))]) + 7.0
    gaps = np.diff(onsets, append=score.seconds)
    pitch_hz = float(midi_to_hz(np.median(midi))) if len(midi) else 300.0
    first, second = score.rng.permutation(len(VOWELS_HZ))[:2]
    timbre = Timbre(
        dull=formants(pitch_hz, VOWELS_HZ[first]),
        bright=formants(pitch_hz, VOWELS_HZ[second]),
        attack_s=0.05,
        decay_s=2.0,
        bright_decay_s=0.2,
        sustain=0.8,
        release_s=0.06,
        glide_s=0.05,
        vibrato_semitones=0.25 + 0.35 * score.artist.vibrato,
        vibrato_hz=score.rng.uniform(4.8, 6.2),
    )
    velocity = score.rng.uniform(0.6, 1, len(onsets))
    return render_line(
        Notes(onsets, np.minimum(0.95 * gaps, 1.6), midi, velocity), timbre, score.samples
    )


def rap(score: Score) -> Signal:
    """Render speech-like syllables in sixteenths: falling pitch, vowels and consonants."""
    rng = score.rng
    onsets = _phrase_times(score, (1, 1, 2, 2, 3), 0.15)
    base = rng.uniform(42, 54)
    midi = base + rng.normal(0, 2.0, len(onsets))
    out = np.zeros(score.samples, dtype=np.float32)
    consonant = noise_hit(rng, rng.uniform(3500, 6000), 2500, 0.015)
    place_hits(consonant, onsets - 0.03, np.full(len(onsets), 0.25), score.samples, out)
    for turn, vowel in enumerate(VOWELS_HZ):
        timbre = Timbre(
            dull=formants(float(midi_to_hz(np.array(base))), vowel, 40),
            bright=harmonics(30, 0.8),
            attack_s=0.015,
            decay_s=0.12,
            bright_decay_s=0.05,
            sustain=0.2,
            glide_s=0.08,
        )
        chosen = slice(turn, None, len(VOWELS_HZ))
        count = len(onsets[chosen])
        velocity = rng.uniform(0.6, 1, count)
        notes = Notes(onsets[chosen], np.full(count, 0.14), midi[chosen], velocity)
        out += render_line(notes, timbre, score.samples)
    return out


def arpeggio(score: Score) -> Signal:
    """Render sequenced sixteenths over the chord, through a slowly opening filter."""
    rng = score.rng
    order = rng.permutation(4)
    onsets, midi = [], []
    for bar in range(score.bars):
        tones = score.chord(bar, 4)
        onsets += list(score.step_times(bar, np.arange(score.steps_per_bar)))
        midi += [tones[order[k % 4]] + 12 * (k % 8 >= 4) for k in range(score.steps_per_bar)]
    timbre = Timbre(
        dull=harmonics(6, 1.5, score.artist.odd),
        bright=harmonics(40, 0.7, score.artist.odd),
        decay_s=0.12,
        bright_decay_s=0.07 + 0.1 * score.artist.brightness,
        sweep_hz=rng.uniform(0.08, 0.3),
    )
    count = len(onsets)
    notes = Notes(np.array(onsets), np.full(count, 0.15), np.array(midi), np.ones(count))
    return render_line(notes, timbre, score.samples)


def ornamented(score: Score) -> Signal:
    """Render a modal lead (reed, flute or lute) with grace notes, slides and wide vibrato."""
    rng = score.rng
    times = _phrase_times(score, (2, 2, 3, 4, 6), 0.1)
    degrees = _walk(score, len(times), span=8, leap=2)
    onsets, midi = [], []
    for time, degree in zip(times, degrees, strict=True):
        if rng.random() < 0.5:
            for turn, shift in enumerate((1, 0, -1)[: rng.integers(1, 4)]):
                onsets.append(time + 0.055 * turn)
                midi.append(score.pitch(int(degree) + shift, 1))
            onsets.append(onsets[-1] + 0.055)
        else:
            onsets.append(time)
        midi.append(score.pitch(int(degree), 1))
    order = np.argsort(onsets, kind="stable")
    starts, pitches = np.array(onsets)[order], np.array(midi)[order]
    reed = rng.random() < 0.5
    timbre = Timbre(
        dull=harmonics(14 if reed else 5, 0.7 if reed else 1.6, score.artist.odd),
        bright=harmonics(30, 0.6),
        attack_s=0.02,
        decay_s=1.5 if reed else 0.5,
        bright_decay_s=0.1,
        sustain=0.8 if reed else 0.2,
        glide_s=0.02,
        vibrato_semitones=0.4 + 0.6 * score.artist.vibrato,
        vibrato_hz=rng.uniform(5, 7),
    )
    gaps = np.diff(starts, append=score.seconds)
    velocity = rng.uniform(0.7, 1, len(starts))
    return render_line(
        Notes(starts, np.minimum(0.98 * gaps, 1.2), pitches, velocity), timbre, score.samples
    )


def glissandi(score: Score) -> Signal:
    """Render long slides between distant pitches, without metre."""
    rng = score.rng
    out = np.zeros(score.samples, dtype=np.float32)
    for _ in range(2):
        onsets = np.cumsum(rng.exponential(1.1, int(score.seconds) * 2 + 4)) - 1.0
        timbre = Timbre(
            dull=harmonics(10, rng.uniform(0.8, 2.0), rng.uniform(0, 1)),
            bright=harmonics(30, 0.6),
            attack_s=0.1,
            decay_s=3.0,
            bright_decay_s=0.5,
            sustain=0.5,
            glide_s=rng.uniform(0.25, 0.8),
        )
        midi = rng.uniform(40, 90, len(onsets))
        gaps = np.diff(onsets, append=score.seconds + 1)
        notes = Notes(onsets, 0.9 * gaps, midi, rng.uniform(0.4, 1, len(onsets)))
        out += render_line(notes, timbre, score.samples)
    return out


def bells(score: Score) -> Signal:
    """Render six struck inharmonic sounds at random times."""
    rng = score.rng
    out = np.zeros(score.samples, dtype=np.float32)
    for _ in range(6):
        ratios = np.sort(np.concatenate([[1.0], rng.uniform(1.2, 7, 5)]))
        shot = bell(float(np.exp(rng.uniform(5, 7.5))), ratios, rng.uniform(0.1, 0.6))
        count = int(score.seconds * rng.uniform(0.15, 0.5)) + 1
        starts = rng.uniform(-0.5, score.seconds, count)
        place_hits(shot, starts, rng.uniform(0.3, 1, count), score.samples, out)
    return out


def grains(score: Score) -> Signal:
    """Render clouds of noise grains in narrow bands, without metre."""
    rng = score.rng
    out = np.zeros(score.samples, dtype=np.float32)
    for _ in range(int(score.seconds * rng.uniform(0.4, 1.0)) + 1):
        centre = float(np.exp(rng.uniform(5.5, 9.0)))
        shot = noise_hit(rng, centre, 0.25 * centre, rng.uniform(0.01, 0.08))
        count = int(rng.integers(3, 40))
        times = rng.uniform(-0.5, score.seconds) + np.cumsum(rng.exponential(0.05, count))
        place_hits(shot, times, rng.uniform(0.1, 0.7, count), score.samples, out)
    return out
