"""What the layers of one track share: metre, key, chords, and the artist's habits."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from components.synthesis.sound import Control, samples_in

SCALES: dict[str, tuple[int, ...]] = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "phrygian_dominant": (0, 1, 4, 5, 7, 8, 10),
    "double_harmonic": (0, 1, 4, 5, 7, 8, 11),
    "pentatonic": (0, 3, 5, 7, 10),
    "chromatic": tuple(range(12)),
}


@dataclasses.dataclass(frozen=True)
class Artist:
    """Habits that all tracks of an artist share; each number in [0, 1] unless said.

    They move the genre's ranges (`tempo`, `attack`, `brightness`, `vibrato`), the recording
    (`tilt_db` per octave, `noise_db`, `reverb`) and the key (`root_midi`).
    """

    tempo: float
    brightness: float
    attack: float
    vibrato: float
    reverb: float
    tilt_db: float
    noise_db: float
    root_midi: float
    harmonic_slope: float
    odd: float


@dataclasses.dataclass(frozen=True)
class Score:
    """One track's frame.

    `offset_s` is where the first bar lies (0 or before: the track starts mid-bar), `swing`
    the delay of every second sixteenth as a part of a sixteenth, `loose_s` the spread of
    human timing, `degrees` the scale degree of each bar's chord, in turn.
    """

    rng: np.random.Generator
    seconds: float
    tempo_bpm: float
    steps_per_bar: int
    offset_s: float
    swing: float
    loose_s: float
    root_midi: float
    scale: tuple[int, ...]
    degrees: tuple[int, ...]
    artist: Artist

    @property
    def samples(self) -> int:
        """Length of the track in samples."""
        return samples_in(self.seconds)

    @property
    def step_s(self) -> float:
        """Length of a sixteenth in seconds."""
        return 15.0 / self.tempo_bpm

    @property
    def bar_s(self) -> float:
        """Length of a bar in seconds."""
        return self.step_s * self.steps_per_bar

    @property
    def bars(self) -> int:
        """Bars that touch the track."""
        return int(np.ceil((self.seconds - self.offset_s) / self.bar_s))

    def step_times(self, bar: int, steps: npt.ArrayLike) -> Control:
        """Onsets in seconds of sixteenths of a bar, swung and loose, sorted."""
        places = np.asarray(steps, dtype=np.float64)
        swung = places + self.swing * (places.astype(int) % 2 == 1)
        loose = self.rng.normal(0, self.loose_s, len(places)) if self.loose_s else 0.0
        return np.sort(self.offset_s + bar * self.bar_s + swung * self.step_s + loose)

    def pitch(self, degree: int, octave: int = 0) -> float:
        """MIDI pitch of a scale degree (0 is the root, any integer)."""
        around, place = divmod(degree, len(self.scale))
        return self.root_midi + 12.0 * (octave + around) + self.scale[place]

    def chord(self, bar: int, size: int = 3) -> list[float]:
        """MIDI pitches of the bar's chord: every second degree upwards."""
        root = self.degrees[bar % len(self.degrees)]
        return [self.pitch(root + 2 * k) for k in range(size)]
