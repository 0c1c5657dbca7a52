"""GTZAN as spectrograms: tracks, folds, clips and training.

GENREFLOW_DATA/gtzan_mels holds 3 seconds each of 800 real tracks of 10 genres. A track gives four
overlapping clips of the project's own size; its probabilities are the mean of theirs.
"""

from __future__ import annotations

import csv
import dataclasses
import pathlib
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from benchmarks.shared import command

if TYPE_CHECKING:
    from components.models.network import Network
    from components.models.settings import ModelSettings
    from components.trainer.settings import TrainingSettings
    from components.trainer.training import TrainingHistory

BANDS, FRAMES = 128, 87
OFFSETS = (0, 14, 29, 43)  # first frame of each clip
FOLDS = 10
COPY_CORRELATION = 0.95
RESAMPLES = 2000
PROBE_CLIPS = 256

Floats = npt.NDArray[np.float32]


def folder() -> pathlib.Path:
    """Return the folder of the spectrograms; end the program if it is missing."""
    return command.data_folder("gtzan_mels", file="mels.npy")


@dataclasses.dataclass(frozen=True)
class Tracks:
    """Spectrograms and labels of tracks.

    Attributes:
      standard: each of mean 0 and deviation 1, float32 `[tracks, 128, 130]`.
      mel_db: the same in decibels below the peak.
      labels: index in `genres`, `[tracks]`.
      groups: the same number for tracks that are copies of each other, `[tracks]`.
      genres: names.
    """

    standard: Floats
    mel_db: Floats
    labels: npt.NDArray[np.int64]
    groups: npt.NDArray[np.int64]
    genres: tuple[str, ...]


def load_tracks(folder: pathlib.Path, genres: tuple[str, ...] = ()) -> Tracks:
    """Load the tracks of some genres (all by default), and restore their decibels."""
    z = np.load(folder / "mels.npy", allow_pickle=False).astype(np.float32)
    with (folder / "labels.csv").open(newline="") as file:
        names = [row["genre"] for row in csv.DictReader(file)]
    genres = genres or tuple(sorted(set(names)))
    kept = np.array([name in genres for name in names])
    labels = np.array([genres.index(name) for name in names if name in genres])
    z = z[kept]
    flat = z.reshape(len(z), -1)
    flat = flat / np.linalg.norm(flat, axis=1, keepdims=True)
    groups = np.arange(len(z))
    for one, other in zip(*np.nonzero(np.triu(flat @ flat.T > COPY_CORRELATION, 1)), strict=True):
        groups[groups == groups[other]] = groups[one]
    peak = z.max(axis=(1, 2), keepdims=True)
    return Tracks(z, np.maximum(-80, 17 * (z - peak)), labels, groups, genres)


def fold_of(tracks: Tracks, seed: int) -> npt.NDArray[np.int64]:
    """Return a fold (0 to 9) for each track: one for a group, spread evenly within a genre."""
    rng = np.random.default_rng(seed)
    fold = np.empty(len(tracks.labels), np.int64)
    for label in range(len(tracks.genres)):
        found = np.unique(tracks.groups[tracks.labels == label])
        for place, group in enumerate(rng.permutation(found)):
            fold[tracks.groups == group] = (place + label) % FOLDS
    return fold


def clips_of(tracks: Tracks, chosen: npt.NDArray[np.bool_]) -> Any:
    """Return the tracks' clips as training takes them, four in a row for each track."""
    from components.audio.spectrogram.stored import to_stored
    from components.trainer.batches import Clips

    mel_db = tracks.mel_db[chosen]
    windows = np.stack([mel_db[:, :, at : at + FRAMES] for at in OFFSETS], axis=1)
    # Relative to each clip's own peak, as the project's spectrograms are.
    windows = np.maximum(windows - windows.max(axis=(2, 3), keepdims=True), -80)
    inputs = to_stored(windows.reshape(-1, *windows.shape[2:]).astype(np.float32))
    return Clips(inputs, np.repeat(tracks.labels[chosen], len(OFFSETS)))


def by_track(probabilities: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.int64]:
    """Return the predicted label of each track, from the mean of its clips."""
    return probabilities.reshape(-1, len(OFFSETS), probabilities.shape[1]).mean(axis=1).argmax(1)


def fit(
    name: str,
    clips: dict[str, Any],
    *,
    genres: int,
    model: ModelSettings,
    training: TrainingSettings,
    budget: float = 0.0,
    network: Network | None = None,
) -> tuple[Network, TrainingHistory, float]:
    """Train a network on `clips["train"]`.

    Args:
      name: of the network.
      clips: `clips_of` by split.
      genres: their number.
      model: settings of the network.
      training: settings of the training.
      budget: processor seconds; if given, they decide the number of epochs (with pretrained
        weights: of fine-tuning epochs) instead of the settings, without early stopping.
      network: the network to train; by default a new one.

    Returns:
      The network, its history, and the processor seconds of the training.
    """
    from components.models import registry
    from components.trainer.resolved import resolve
    from components.trainer.training import train

    if budget:
        epochs = max(2, int(budget / _epoch_seconds(name, clips, genres, model, training)))
        if model.weights == "none":
            training = dataclasses.replace(training, epochs=epochs, patience=epochs)
        else:
            training = dataclasses.replace(training, fine_tune_epochs=epochs)
    network = network or build(name, genres=genres, model=model, seed=training.seed)
    settings = resolve(training, model, registry.defaults(name))
    begun = time.process_time()
    history = train(network, clips["train"], clips["validation"], settings)
    return network, history, time.process_time() - begun


def build(name: str, *, genres: int, model: ModelSettings, seed: int) -> Network:
    """Build a network for these spectrograms."""
    from components.models import registry

    return registry.build(name, model, n_mels=BANDS, frames=FRAMES, genres=genres, seed=seed)


def _epoch_seconds(
    name: str,
    clips: dict[str, Any],
    genres: int,
    model: ModelSettings,
    training: TrainingSettings,
) -> float:
    """Estimate the processor seconds of an epoch of the whole network, from a few clips."""
    from components.models import registry
    from components.trainer.batches import Clips
    from components.trainer.resolved import resolve
    from components.trainer.training import train

    few = Clips(clips["train"].inputs[:PROBE_CLIPS], clips["train"].labels[:PROBE_CLIPS])
    model = dataclasses.replace(model, weights="none", fine_tune_epochs=None)
    settings = resolve(dataclasses.replace(training, epochs=3), model, registry.defaults(name))
    ends: list[float] = []

    def report(**fields: Any) -> None:
        if "val_loss" in fields:
            ends.append(time.process_time())

    train(build(name, genres=genres, model=model, seed=0), few, few, settings, report=report)
    # Validation is a forward pass, which takes a third of a training step. The probe validates on
    # its training clips.
    steps = len(clips["train"]) + len(clips["validation"]) / 3
    return (ends[-1] - ends[-2]) * steps / (len(few) * 4 / 3)


def predicted(network: Network, clips: Any) -> npt.NDArray[np.int64]:
    """Predict the label of each track of `clips_of`."""
    from components.audio.spectrogram.stored import from_stored

    return by_track(network.model.predict(from_stored(clips.inputs), batch_size=32, verbose=0))


def interval(
    right: npt.NDArray[np.floating[Any]], groups: npt.NDArray[np.int64]
) -> tuple[float, float, float]:
    """Return the mean and its 95 % bootstrap interval, drawing whole groups."""
    names, index = np.unique(groups, return_inverse=True)
    totals = np.bincount(index, right)
    counts = np.bincount(index)
    rng = np.random.default_rng(0)
    draws = rng.integers(0, len(names), (RESAMPLES, len(names)))
    means = totals[draws].sum(axis=1) / counts[draws].sum(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(right.mean()), float(low), float(high)


def format_interval(mean: float, low: float, high: float) -> str:
    return f"{mean:.3f} [{low:.3f}, {high:.3f}]"
