"""Real recordings of ten genres (GENREFLOW_DATA/gtzan), cut into clips and assigned to folds."""

from __future__ import annotations

import csv
import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from components.audio.clips import ClipChoice
from components.audio.decoding.decoder import InProcessDecoder
from components.audio.params import AudioParams
from components.audio.spectrogram.mel import log_mel
from components.audio.spectrogram.stored import to_stored

FOLDS = 5

Mels = npt.NDArray[np.uint16]
Labels = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Recordings:
    """Clips of all recordings.

    Attributes:
      uris: the recordings' paths below the data folder, sorted.
      genres: names of the genres, sorted.
      mels: `[recordings, clips, n_mels, frames]` as examples store them.
      labels: index in `genres`, `[recordings]`.
    """

    uris: list[str]
    genres: list[str]
    mels: Mels
    labels: Labels


def read_recordings(folder: pathlib.Path, audio: AudioParams, seed: int) -> Recordings:
    """Cut the clips of all recordings in a folder with a manifest.csv."""
    with (folder / "manifest.csv").open(newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["uri"])
    genres = sorted({row["genre"] for row in rows})
    decoder = InProcessDecoder()
    mels = []
    for row in rows:
        uri = row["uri"]
        clips = decoder.read_clips(str(folder / uri), audio, track_id=uri, seed=seed, strict=False)
        mels.append(to_stored(log_mel(clips.waveforms, audio)))
    labels = np.array([genres.index(row["genre"]) for row in rows])
    return Recordings([row["uri"] for row in rows], genres, np.stack(mels), labels)


def read_windows(folder: pathlib.Path, uris: Sequence[str], audio: AudioParams) -> list[Mels]:
    """Return all clips that a server cuts each recording into, `[clips, n_mels, frames]`."""
    decoder = InProcessDecoder()
    every = ClipChoice.of(dataclasses.replace(audio, evaluation_clips="all"), evaluates=True)
    found = []
    for uri in uris:
        clips = decoder.read_clips(folder / uri, audio, track_id=uri, seed=0, choice=every)
        found.append(to_stored(log_mel(clips.waveforms, audio)))
    return found


def assign_folds(labels: Labels, rng: np.random.Generator | None = None) -> Labels:
    """Return a fold for each label: those of a genre go to the folds in turn, in random order.

    Args:
      labels: genre indices.
      rng: draws the order; by default each genre has a generator seeded with its index.
    """
    fold = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        generator = np.random.default_rng(label) if rng is None else rng
        found = generator.permutation(np.flatnonzero(labels == label))
        fold[found] = (np.arange(len(found)) + label) % FOLDS
    return fold
