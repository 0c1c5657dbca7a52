"""Synthesis of one track from (corpus seed, genre, artist id, track id)."""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np
import soxr

from components.synthesis.mix import balance, overdrive, record
from components.synthesis.score import SCALES, Artist, Score
from components.synthesis.sound import SAMPLE_RATE_HZ, Signal
from components.synthesis.styles import LAYERS, STYLES, Style, StyleLayer


@dataclasses.dataclass(frozen=True)
class Difficulty:
    """Strength of the variations that hide the genre.

    benchmarks/synthetic_difficulty.py measures the difficulty with the defaults.

    Attributes:
      tilt_db: standard deviation of the artists' spectral tilt in dB per octave.
      wobble_db: standard deviation of the equaliser's bells.
      level_db: standard deviation of the layers' levels.
      noise_db: range of the noise relative to the music.
      borrow: probability that a track borrows a layer from another genre.
      borrow_db: level of a borrowed layer relative to its own.
    """

    tilt_db: float = 2.4
    wobble_db: float = 4.5
    level_db: float = 2.5
    noise_db: tuple[float, float] = (-50.0, -18.0)
    borrow: float = 0.3
    borrow_db: float = -8.0


DIFFICULTY = Difficulty()
PEAK = (0.2, 0.6)


def generator(*key: object) -> np.random.Generator:
    """Return a numpy generator seeded from the SHA-256 of the key's parts."""
    digest = hashlib.sha256("\0".join(str(part) for part in key).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest, "big"))


def make_artist(seed: int, genre: str, artist_id: int) -> Artist:
    """Return an artist's habits, the same for all of their tracks."""
    rng = generator(seed, "artist", artist_id)
    habits = rng.uniform(size=5)
    style = STYLES[genre]
    return Artist(
        tempo=habits[0],
        brightness=habits[1],
        attack=habits[2],
        vibrato=habits[3],
        reverb=style.reverb[0] + habits[4] * (style.reverb[1] - style.reverb[0]),
        tilt_db=rng.normal(0, DIFFICULTY.tilt_db),
        noise_db=rng.uniform(*DIFFICULTY.noise_db),
        root_midi=float(rng.integers(48, 60)),
        harmonic_slope=rng.uniform(0.8, 2.2),
        odd=rng.uniform(0.1, 1.0),
    )


def make_score(rng: np.random.Generator, style: Style, artist: Artist, seconds: float) -> Score:
    """Return a random score, near the artist's habits and within the genre's ranges."""
    tempo = float(np.clip(artist.tempo + rng.normal(0, 0.12), 0, 1))
    low, high = style.tempo_bpm
    tempo_bpm = low + tempo * (high - low)
    steps = int(rng.choice(style.steps_per_bar))
    scale = SCALES[style.scales[rng.integers(len(style.scales))]]
    return Score(
        rng=rng,
        seconds=seconds,
        tempo_bpm=tempo_bpm,
        steps_per_bar=steps,
        offset_s=-float(rng.uniform()) * steps * 15.0 / tempo_bpm,
        swing=rng.uniform(*style.swing),
        loose_s=rng.uniform(*style.loose_s),
        root_midi=artist.root_midi + float(rng.integers(-3, 4)),
        scale=scale,
        degrees=style.progressions[rng.integers(len(style.progressions))],
        artist=artist,
    )


def _choose_layers(rng: np.random.Generator, genre: str) -> list[StyleLayer]:
    """Choose at least two of the genre's layers, and perhaps a borrowed one."""
    layers = STYLES[genre].layers
    chances = rng.random(len(layers))
    chosen = [layer for layer, chance in zip(layers, chances, strict=True) if chance < layer.chance]
    for layer in layers:
        if len(chosen) < 2 and layer not in chosen:
            chosen.append(layer)
    if rng.random() < DIFFICULTY.borrow:
        others = [name for name in STYLES if name != genre]
        lent = STYLES[others[rng.integers(len(others))]].layers
        borrowed = lent[rng.integers(len(lent))]
        if all(borrowed.name != own.name for own in chosen):
            level_db = borrowed.level_db + DIFFICULTY.borrow_db
            chosen.append(StyleLayer(borrowed.name, level_db))
    return chosen


def synthesize(seed: int, genre: str, artist_id: int, track_id: int, seconds: float) -> Signal:
    """Synthesize a mono track; the same arguments give the same samples.

    Args:
      seed: seed of the corpus.
      genre: key of STYLES.
      artist_id: id of the artist.
      track_id: id of the track.
      seconds: length of the track.

    Returns:
      float32 `[samples]` at SAMPLE_RATE_HZ with a peak of 0.2 to 0.6, which leaves room for
      the overshoot of mp3.

    Raises:
      KeyError: there is no such genre.
    """
    style = STYLES[genre]
    artist = make_artist(seed, genre, artist_id)
    rng = generator(seed, "track", track_id)
    score = make_score(rng, style, artist, seconds)
    mix = np.zeros(score.samples, dtype=np.float32)
    for layer in _choose_layers(rng, genre):
        level_db = layer.level_db + rng.normal(0, DIFFICULTY.level_db)
        mix += balance(LAYERS[layer.name](score), level_db)
    mix = overdrive(mix, rng.uniform(*style.drive))
    recorded = record(
        rng,
        mix,
        tilt_db=artist.tilt_db + rng.normal(0, 0.3 * DIFFICULTY.tilt_db),
        wobble_db=DIFFICULTY.wobble_db,
        noise_db=artist.noise_db + rng.normal(0, 2),
        reverb=artist.reverb,
        room_s=rng.uniform(0.05, 0.5),
    )
    peak = float(np.abs(recorded).max()) + 1e-9
    return recorded * np.float32(rng.uniform(*PEAK) / peak)


def to_file_format(rng: np.random.Generator, mono: Signal, rate_hz: int, channels: int) -> Signal:
    """Convert a mono track to `[samples, channels]` at the file's rate.

    Two channels differ only by their level.
    """
    audio = mono
    if rate_hz != SAMPLE_RATE_HZ:
        audio = soxr.resample(mono, SAMPLE_RATE_HZ, rate_hz, quality="MQ")
    if channels == 1:
        return audio[:, None]
    pan = rng.uniform(0.75, 1.0, 2).astype(np.float32)
    return np.clip(audio[:, None] * pan, -0.95, 0.95)
