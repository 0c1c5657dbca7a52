"""Rhythm layers: drum kits that play step patterns, and bass lines.

A pattern has one character per sixteenth: `.` is a rest, `x` a hit, `o` a soft hit, `?` a soft
hit half of the time. Patterns are repeated or cut to the bar.
"""

from __future__ import annotations

import numpy as np

from components.synthesis.score import Score
from components.synthesis.sound import (
    Control,
    Notes,
    Signal,
    Timbre,
    harmonics,
    noise_hit,
    place_hits,
    render_line,
    thump,
)

# Variants of (kick, snare, hat, clap).
KITS: dict[str, tuple[tuple[str, str, str, str], ...]] = {
    "club": (
        ("x...x...x...x...", "", "..x...x...x...x.", "....x.......x..."),
        ("x...x...x...x...", "", "o.x.o.x.o.x.o.x.", "............x..?"),
        ("x...x...x...x.?.", "....?..?......?.", "ooxoooxoooxoooxo", "....x.......x..."),
    ),
    "boom_bap": (
        ("x......x..x.....", "....x.......x..?", "o.o.o.o.o.o.oooo", ""),
        ("x.x.......x..x..", "....x..?....x...", "o.o.o.oooo.o.o.o", ""),
        ("x..x......x.....", "....x.......x...", "oooooo.oo.oooooo", "....x.......x..."),
    ),
    "pop": (
        ("x.......x.......", "....x.......x...", "o.o.o.o.o.o.o.o.", "....x.......x..."),
        ("x.....x.x.......", "....x.......x...", "o...o...o...o...", ""),
        ("x...x...x...x...", "....x.......x...", "..o...o...o...o.", "....x.......x..."),
    ),
    "rock": (
        ("x.......x.x.....", "....x.......x...", "x.x.x.x.x.x.x.x.", ""),
        ("x..x..x.x..x....", "....x.......x..x", "x...x...x...x...", ""),
        ("x.x.....x.x.....", "....x.......x...", "x.o.x.o.x.o.x.o.", ""),
    ),
    "shaker": (
        ("", "", "o.?.o.o.o.?.o.o.", ""),
        ("o.......o.......", "", "..o...o...o...o.", ""),
    ),
}

HAND_PATTERNS: tuple[tuple[str, str], ...] = (
    ("x.....x...x...", "...o.o..o.o.oo"),
    ("x..x..x.x...", "..o..o..o.oo"),
    ("x...x.x...", "..o..o..oo"),
    ("x..x....x.x.....", "..o..oo..o..o.oo"),
)


def _hits(score: Score, pattern: str) -> tuple[Control, Control]:
    onsets: list[float] = []
    velocities: list[float] = []
    if not pattern:
        return np.array([]), np.array([])
    for bar in range(score.bars):
        steps = [k for k in range(score.steps_per_bar) if pattern[k % len(pattern)] != "."]
        marks = [pattern[k % len(pattern)] for k in steps]
        times = score.step_times(bar, np.array(steps))
        chances = score.rng.random(len(steps))
        for mark, time, chance in zip(marks, times, chances, strict=True):
            if mark == "?" and chance < 0.5:
                continue
            onsets.append(time)
            velocities.append((1.0 if mark == "x" else 0.5) * (0.8 + 0.4 * chance))
    return np.array(onsets), np.array(velocities)


def drums(score: Score, kit: str) -> Signal:
    """Render a kit of KITS: kick, snare, hat and clap with random sounds."""
    rng = score.rng
    variants = KITS[kit]
    kick, snare, hat, clap = variants[rng.integers(len(variants))]
    deep = kit == "boom_bap"
    sounds = (
        (kick, thump(rng.uniform(42, 60), rng.uniform(1.5, 4), 0.16 if deep else 0.09, 0.2), 1.0),
        (snare, _snare(rng), rng.uniform(0.5, 0.9)),
        (hat, noise_hit(rng, rng.uniform(6000, 9500), 2500, rng.uniform(0.012, 0.05)), 0.3),
        (clap, noise_hit(rng, rng.uniform(1200, 2200), 700, rng.uniform(0.04, 0.09)), 0.5),
    )
    out = np.zeros(score.samples, dtype=np.float32)
    for pattern, shot, gain in sounds:
        onsets, velocities = _hits(score, pattern)
        place_hits(shot, onsets, gain * velocities, score.samples, out)
    if kit == "boom_bap" and rng.random() < 0.7:
        _rolls(score, out)
    if kit == "rock":
        _crashes(score, out)
    return out


def _snare(rng: np.random.Generator) -> Signal:
    wires = noise_hit(rng, rng.uniform(2500, 5500), 3500, rng.uniform(0.05, 0.12))
    skin = thump(rng.uniform(160, 230), 0.4, 0.05)
    wires[: len(skin)] += 0.6 * skin[: len(wires)]
    return wires


def _rolls(score: Score, out: Signal) -> None:
    """Add fast runs of hats (32nds, sixteenth triplets or 64ths) at the end of some bars."""
    shot = noise_hit(score.rng, 8500, 2000, 0.015)
    for bar in range(score.bars):
        if score.rng.random() < 0.6:
            divide = score.rng.choice([2.0, 3.0, 4.0])
            length = score.rng.choice([2.0, 4.0])
            start = score.rng.choice([4.0, 6.0, 10.0, 12.0])
            steps = start + np.arange(int(length * divide)) / divide
            times = score.offset_s + bar * score.bar_s + steps * score.step_s
            place_hits(shot, times, np.linspace(0.15, 0.4, len(steps)), score.samples, out)


def _crashes(score: Score, out: Signal) -> None:
    shot = noise_hit(score.rng, 6500, 5000, 0.35)
    first = score.rng.integers(2)
    bars = np.arange(first, score.bars, 2)
    place_hits(
        shot, score.offset_s + bars * score.bar_s, np.full(len(bars), 0.3), score.samples, out
    )


def hand_drums(score: Score) -> Signal:
    """Render two hand drums in an additive metre, with slaps."""
    rng = score.rng
    low_pattern, high_pattern = HAND_PATTERNS[rng.integers(len(HAND_PATTERNS))]
    base = rng.uniform(70, 120)
    out = np.zeros(score.samples, dtype=np.float32)
    low = thump(base, 0.3, 0.12)
    high = thump(base * rng.uniform(2.2, 3.4), 0.15, 0.05, 0.5)
    for pattern, shot, gain in ((low_pattern, low, 1.0), (high_pattern, high, 0.8)):
        onsets, velocities = _hits(score, pattern)
        place_hits(shot, onsets, gain * velocities, score.samples, out)
    return out


BASS_PATTERNS: dict[str, tuple[str, ...]] = {
    "offbeat": ("..x...x...x...x.", "..xx..xx..xx..xx", "x.xx.xx.x.xx.xx."),
    "sub": ("x.........x.....", "x......x..x.....", "x.............x."),
    "eighths": ("x.x.x.x.x.x.x.x.", "x.x.x.xxx.x.x.x."),
    "roots": ("x.......x.......", "x.....x.x.....x."),
}


def bass(score: Score, pattern: str) -> Signal:
    """Render a bass that plays the chord's root; "sub" has long, pure, gliding notes."""
    rng = score.rng
    variants = BASS_PATTERNS[pattern]
    steps_text = variants[rng.integers(len(variants))]
    onsets, velocities = _hits(score, steps_text)
    if len(onsets) == 0:
        return np.zeros(score.samples, dtype=np.float32)
    bars = np.floor((onsets - score.offset_s) / score.bar_s + 1e-6).astype(int)
    midi = np.array([score.chord(max(int(bar), 0))[0] for bar in bars])
    midi = 33.0 + (midi - 33.0) % 12.0
    gaps = np.diff(onsets, append=score.seconds)
    sub = pattern == "sub"
    if sub:
        midi = midi + np.where(rng.random(len(midi)) < 0.3, rng.choice([-5.0, 7.0]), 0.0)
    timbre = Timbre(
        dull=harmonics(3 if sub else 8, 2.0),
        bright=harmonics(24, 1.0 + 0.6 * (1 - score.artist.brightness)),
        decay_s=0.9 if sub else 0.3,
        bright_decay_s=0.05 if sub else 0.12,
        sustain=0.4,
        glide_s=0.06 if sub else 0.0,
    )
    return render_line(Notes(onsets, 0.9 * gaps, midi, velocities), timbre, score.samples)
