"""The eight genres: their layers, and ranges of parameters that overlap."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

from components.synthesis import harmony, melody, rhythm
from components.synthesis.score import Score
from components.synthesis.sound import Signal

Layer = Callable[[Score], Signal]

LAYERS: dict[str, Layer] = {
    **{f"drums_{kit}": functools.partial(rhythm.drums, kit=kit) for kit in rhythm.KITS},
    **{
        f"bass_{name}": functools.partial(rhythm.bass, pattern=name)
        for name in rhythm.BASS_PATTERNS
    },
    "hand_drums": rhythm.hand_drums,
    "pad": harmony.pad,
    "pumped_pad": functools.partial(harmony.pad, pumped=True),
    "picking": harmony.picking,
    "strum": harmony.strum,
    "piano": harmony.piano,
    "sparse_piano": functools.partial(harmony.piano, sparse=True),
    "power_chords": harmony.power_chords,
    "stabs": harmony.stabs,
    "drone": harmony.drone,
    "sung": melody.sung,
    "rap": melody.rap,
    "arpeggio": melody.arpeggio,
    "ornamented": melody.ornamented,
    "glissandi": melody.glissandi,
    "bells": melody.bells,
    "grains": melody.grains,
}


@dataclasses.dataclass(frozen=True)
class StyleLayer:
    """Layer of a genre.

    Attributes:
      name: key of LAYERS.
      level_db: level relative to the other layers.
      chance: probability that a track has the layer.
    """

    name: str
    level_db: float
    chance: float = 1.0


@dataclasses.dataclass(frozen=True)
class Style:
    """Layers and ranges of a genre.

    Attributes:
      tempo_bpm: range of tempos in quarter notes per minute.
      layers: the layers.
      scales: scales to choose from, keys of SCALES.
      progressions: chord progressions to choose from, in scale degrees.
      steps_per_bar: sixteenths per bar to choose from.
      swing: range of Score.swing.
      loose_s: range of Score.loose_s.
      drive: range of the overdrive, in [0, 1].
      reverb: range of the room's share, in [0, 1].
    """

    tempo_bpm: tuple[float, float]
    layers: tuple[StyleLayer, ...]
    scales: tuple[str, ...]
    progressions: tuple[tuple[int, ...], ...]
    steps_per_bar: tuple[int, ...] = (16,)
    swing: tuple[float, float] = (0.0, 0.1)
    loose_s: tuple[float, float] = (0.0, 0.008)
    drive: tuple[float, float] = (0.0, 0.3)
    reverb: tuple[float, float] = (0.05, 0.35)


STYLES: dict[str, Style] = {
    "Electronic": Style(
        tempo_bpm=(112, 142),
        layers=(
            StyleLayer("drums_club", 0),
            StyleLayer("bass_offbeat", -2, 0.8),
            StyleLayer("pumped_pad", -3, 0.7),
            StyleLayer("arpeggio", -2, 0.9),
            StyleLayer("stabs", -5, 0.5),
        ),
        scales=("minor", "dorian"),
        progressions=((0, 0, 5, 6), (0, 3), (0, 5, 2, 6)),
        loose_s=(0.0, 0.001),
        drive=(0.0, 0.4),
    ),
    "Experimental": Style(
        tempo_bpm=(55, 170),
        layers=(
            StyleLayer("glissandi", -1, 0.85),
            StyleLayer("grains", -1, 0.85),
            StyleLayer("bells", -1, 0.7),
            StyleLayer("drone", -5, 0.4),
        ),
        scales=("chromatic",),
        progressions=((0, 1, 6, 3), (0, 5, 10)),
        loose_s=(0.02, 0.08),
        drive=(0.0, 0.7),
        reverb=(0.1, 0.6),
    ),
    "Folk": Style(
        tempo_bpm=(78, 138),
        layers=(
            StyleLayer("picking", 0),
            StyleLayer("strum", -2, 0.55),
            StyleLayer("sung", -5, 0.25),
            StyleLayer("drums_shaker", -10, 0.4),
            StyleLayer("bass_roots", -6, 0.4),
        ),
        scales=("major", "mixolydian"),
        progressions=((0, 3, 0, 4), (0, 4, 5, 3), (0, 3)),
        swing=(0.0, 0.3),
        loose_s=(0.004, 0.015),
        drive=(0.0, 0.15),
    ),
    "Hip-Hop": Style(
        tempo_bpm=(72, 112),
        layers=(
            StyleLayer("drums_boom_bap", 0),
            StyleLayer("bass_sub", -1, 0.85),
            StyleLayer("rap", 0, 0.95),
            StyleLayer("sparse_piano", -5, 0.4),
            StyleLayer("pad", -8, 0.4),
        ),
        scales=("minor", "phrygian_dominant"),
        progressions=((0, 0), (0, 5), (0, 3, 0, 4)),
        swing=(0.1, 0.5),
        loose_s=(0.002, 0.012),
        drive=(0.0, 0.5),
    ),
    "Instrumental": Style(
        tempo_bpm=(58, 112),
        layers=(
            StyleLayer("pad", 0, 0.95),
            StyleLayer("sparse_piano", -1, 0.75),
            StyleLayer("piano", -3, 0.3),
            StyleLayer("picking", -6, 0.25),
            StyleLayer("bass_roots", -8, 0.3),
        ),
        scales=("major", "minor"),
        progressions=((0, 5, 3, 4), (0, 2, 3, 4), (5, 3, 0, 4)),
        loose_s=(0.004, 0.02),
        drive=(0.0, 0.1),
        reverb=(0.2, 0.7),
    ),
    "International": Style(
        tempo_bpm=(84, 148),
        layers=(
            StyleLayer("hand_drums", 0, 0.85),
            StyleLayer("ornamented", 0),
            StyleLayer("drone", -4, 0.65),
            StyleLayer("strum", -6, 0.25),
        ),
        scales=("phrygian_dominant", "double_harmonic", "pentatonic"),
        progressions=((0, 0), (0, 1), (0, 6)),
        steps_per_bar=(14, 12, 10, 16),
        loose_s=(0.003, 0.012),
        drive=(0.0, 0.2),
    ),
    "Pop": Style(
        tempo_bpm=(90, 134),
        layers=(
            StyleLayer("drums_pop", 0),
            StyleLayer("sung", 0),
            StyleLayer("piano", -4, 0.55),
            StyleLayer("pad", -6, 0.5),
            StyleLayer("bass_roots", -3, 0.7),
            StyleLayer("strum", -6, 0.3),
        ),
        scales=("major",),
        progressions=((0, 4, 5, 3), (5, 3, 0, 4), (0, 5, 3, 4)),
        drive=(0.0, 0.25),
    ),
    "Rock": Style(
        tempo_bpm=(95, 168),
        layers=(
            StyleLayer("drums_rock", 0),
            StyleLayer("power_chords", -1),
            StyleLayer("bass_eighths", -3, 0.85),
            StyleLayer("sung", -6, 0.3),
        ),
        scales=("minor", "mixolydian", "dorian"),
        progressions=((0, 6, 5, 6), (0, 3, 4, 3), (0, 5, 6)),
        drive=(0.1, 0.8),
    ),
}

# FMA small's genres, in its spelling, with FMA's ids (genres.csv of fma_metadata).
GENRE_IDS: dict[str, int] = {
    "Electronic": 15,
    "Experimental": 38,
    "Folk": 17,
    "Hip-Hop": 21,
    "Instrumental": 1235,
    "International": 2,
    "Pop": 10,
    "Rock": 12,
}
