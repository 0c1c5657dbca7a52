"""The score of a track, which its layers share: metre, key, chords and the artist's habits."""

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
    """Habits of an artist, the same in all of their tracks.

    Attributes:
      tempo: place in the genre's range of tempos, in [0, 1].
      brightness: brightness of timbres, in [0, 1].
      attack: length of attacks or of decays, in [0, 1].
      vibrato: depth of vibrato, in [0, 1].
      reverb: share of the room's sound, in [0, 1].
      tilt_db: spectral tilt of the recording in dB per octave.
      noise_db: level of the recording's noise in dB.
      root_midi: MIDI pitch of the key.
      harmonic_slope: slope of the harmonics' amplitudes.
      odd: factor of the even harmonics' amplitudes.
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
    """Score of a track.

    Attributes:
      rng: source of the layers' random numbers.
      seconds: length of the track.
      tempo_bpm: tempo in quarter notes per minute.
      steps_per_bar: sixteenths per bar.
      offset_s: start of the first bar, 0 or negative, as a track may start within a bar.
      swing: delay of every second sixteenth, as a fraction of a sixteenth.
      loose_s: standard deviation of the timing.
      root_midi: MIDI pitch of the key.
      scale: semitones above the root.
      degrees: scale degrees of the bars' chords, repeated.
      artist: the artist's habits.
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
        """The length of the track in samples."""
        return samples_in(self.seconds)

    @property
    def step_s(self) -> float:
        """The length of a sixteenth in seconds."""
        return 15.0 / self.tempo_bpm

    @property
    def bar_s(self) -> float:
        """The length of a bar in seconds."""
        return self.step_s * self.steps_per_bar

    @property
    def bars(self) -> int:
        """The number of bars that overlap the track."""
        return int(np.ceil((self.seconds - self.offset_s) / self.bar_s))

    def step_times(self, bar: int, steps: npt.ArrayLike) -> Control:
        """Return the sorted onsets, in seconds, of sixteenths of a bar, with swing and jitter."""
        places = np.asarray(steps, dtype=np.float64)
        swung = places + self.swing * (places.astype(int) % 2 == 1)
        loose = self.rng.normal(0, self.loose_s, len(places)) if self.loose_s else 0.0
        return np.sort(self.offset_s + bar * self.bar_s + swung * self.step_s + loose)

    def pitch(self, degree: int, octave: int = 0) -> float:
        """Return the MIDI pitch of a scale degree, any integer; 0 is the root."""
        around, place = divmod(degree, len(self.scale))
        return self.root_midi + 12.0 * (octave + around) + self.scale[place]

    def chord(self, bar: int, size: int = 3) -> list[float]:
        """Return the MIDI pitches of a bar's chord: every second degree upwards."""
        root = self.degrees[bar % len(self.degrees)]
        return [self.pitch(root + 2 * k) for k in range(size)]
