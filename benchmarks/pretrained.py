"""Accuracy of networks that were trained on music before, on 55 real recordings.

    GENREFLOW_DATA=... python -m benchmarks.pretrained [--crnn FOLDER] [--seeds 3] [--choose]

Recordings and folds are those of benchmarks.gtzan_audio: three folds train, one chooses the epoch,
one is tested. The bases have the weights in GENREFLOW_DATA/musicnn. A head is trained on the frozen
base's features; in rows with "base" the base is then fine-tuned. Training takes `--clips` random
clips of a recording; validation and test take all its consecutive clips, as a server does.

The table has the recordings that are classified right with the first seed, their share with the
gate's 95 % interval, the range over all seeds, and the seconds of the five trainings, features
included. "average" is the mean of the two MSD networks with frozen bases. `--crnn` names the folder
in which benchmarks.gtzan_audio keeps its predictions (`--save`); the last column is then the paired
difference to crnn.

`--choose` compares settings without the test folds. The three folds that a split trains on are
used alone, in turn: two train, and the third chooses the epoch and is measured. Its table has the
share of recordings classified right and their mean log loss, over all splits.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import pathlib
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import numpy.typing as npt

from benchmarks.gtzan_audio import cell
from benchmarks.shared import command
from benchmarks.shared.recordings import FOLDS, Labels, assign_folds, read_recordings, read_windows
from components.audio.params import AudioParams
from components.audio.spectrogram.stored import from_stored
from components.models.settings import ModelSettings
from components.predictions import resampling
from components.trainer.settings import TrainingSettings

if TYPE_CHECKING:
    from components.models.network import Network
    from components.trainer.batches import Clips
    from components.trainer.features import FeatureCache

AUDIO = AudioParams.of_front_end("musicnn")
# Epochs on features take a fraction of a second, and few recordings have few batches an epoch.
TRAINING = TrainingSettings(epochs=50, patience=10, fine_tune_epochs=0)

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Changes = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Variant:
    """Network and its weights, a checkpoint in GENREFLOW_DATA/musicnn."""

    network: str
    checkpoint: str
    fine_tune_epochs: int = 0

    @property
    def name(self) -> str:
        """Name of the table's row."""
        trained = "head, then base" if self.fine_tune_epochs else "head"
        return f"{self.network} | {self.checkpoint.split('_')[0].lower()} | {trained}"

    def settings(self, **changes: Any) -> ModelSettings:
        """Return the network's own table, with some settings changed."""
        weights = command.data_folder("musicnn", self.checkpoint, file=".index")
        return ModelSettings(weights=str(weights), **changes)


AVERAGED = (Variant("musicnn", "MSD_musicnn"), Variant("musicnn_vgg", "MSD_vgg"))
VARIANTS = (
    *AVERAGED,
    Variant("musicnn", "MTT_musicnn"),
    Variant("musicnn_vgg", "MTT_vgg"),
    Variant("musicnn", "MSD_musicnn", fine_tune_epochs=3),
)

# What `--choose` changes: the network's own table, the training, `clips` of a recording, or
# musicnn's POOLED_SCALE.
CHOICES: tuple[Changes, ...] = (
    {},
    {"pooled_scale": 0.0},
    {"pooled_scale": 0.3},
    {"clips": 4},
    {"learning_rate": 1e-3},
    {"learning_rate": 1e-2},
    {"dropout": 0.3},
    {"dropout": 0.5},
    {"dropout": 0.8},
    {"l2": 1e-3},
    {"l2": 1e-2},
    {"head_units": 200},
    {"batch_size": 16},
    {"label_smoothing": 0.1},
    {"epochs": 20, "patience": 5},
)


@dataclasses.dataclass(frozen=True)
class Music:
    """Recordings as the networks hear them.

    Attributes:
      uris: their paths.
      labels: genre of each.
      fold: fold of each.
      clips: random clips of each as stored, `[recordings, clips, n_mels, frames]`.
      windows: all whole clips of each as stored, `[clips, n_mels, frames]`.
    """

    uris: list[str]
    labels: Labels
    fold: Labels
    clips: npt.NDArray[np.uint16]
    windows: list[npt.NDArray[np.uint16]]

    def random(self, chosen: Mask, clips: int | None = None) -> Clips:
        """Return random clips of some recordings, all by default."""
        from components.trainer.batches import Clips

        found = self.clips[chosen, :clips]
        return Clips(np.concatenate(found), np.repeat(self.labels[chosen], found.shape[1]))

    def consecutive(self, chosen: Mask) -> Clips:
        """Return all consecutive clips of some recordings."""
        from components.trainer.batches import Clips

        found = [self.windows[index] for index in np.flatnonzero(chosen)]
        labels = np.repeat(self.labels[chosen], [len(clips) for clips in found])
        return Clips(np.concatenate(found), labels)

    def predict(self, network: Network, chosen: Mask) -> Floats:
        """Return the mean probabilities of some recordings, `[recordings, genres]`."""
        windows = [self.windows[index] for index in np.flatnonzero(chosen)]
        every = network.model.predict(
            from_stored(np.concatenate(windows)), batch_size=32, verbose=0
        )
        ends = np.cumsum([len(one) for one in windows])[:-1]
        return np.stack([part.mean(axis=0) for part in np.split(every, ends)]).astype(np.float64)


def read_music(clips: int) -> Music:
    folder = command.data_folder("gtzan", file="manifest.csv")
    found = read_recordings(folder, dataclasses.replace(AUDIO, clips_per_track=clips), 0)
    windows = read_windows(folder, found.uris, AUDIO)
    return Music(found.uris, found.labels, assign_folds(found.labels), found.mels, windows)


def fit(
    network: str,
    model: ModelSettings,
    training: TrainingSettings,
    sources: tuple[Clips, Clips],
    cache: FeatureCache | None = None,
) -> Network:
    """Train a network on the first source, with epochs chosen on the second."""
    from components.models import registry
    from components.trainer.resolved import resolve
    from components.trainer.training import train

    built = registry.build(
        network,
        model,
        n_mels=AUDIO.n_mels,
        frames=AUDIO.frames,
        genres=int(sources[0].labels.max()) + 1,
        seed=training.seed,
    )
    settings = resolve(training, model, registry.defaults(network))
    train(built, *sources, settings, feature_cache=cache)
    return built


def test(variant: Variant, music: Music, seeds: Sequence[int]) -> tuple[list[Floats], float]:
    """Return each seed's probabilities of all recordings, and the first seed's seconds."""
    from components.trainer.features import FeatureCache

    genres = len(np.unique(music.labels))
    found = [np.empty((len(music.uris), genres)) for _ in seeds]
    seconds = 0.0
    for number in range(FOLDS):
        tested, chooses = music.fold == number, music.fold == (number + 1) % FOLDS
        sources = music.random(~(tested | chooses)), music.consecutive(chooses)
        cache = FeatureCache(TRAINING.batch_size)
        for seed, probabilities in zip(seeds, found, strict=True):
            begun = time.monotonic()
            training = dataclasses.replace(
                TRAINING, seed=seed, fine_tune_epochs=variant.fine_tune_epochs
            )
            network = fit(variant.network, variant.settings(), training, sources, cache)
            if seed == seeds[0]:
                seconds += time.monotonic() - begun
            probabilities[tested] = music.predict(network, tested)
    return found, seconds


def right(probabilities: Floats, music: Music) -> Floats:
    return (probabilities.argmax(axis=1) == music.labels).astype(np.float64)


def read_crnn(folder: pathlib.Path, music: Music) -> Floats:
    """Return 1 for each recording that crnn classified right in benchmarks.gtzan_audio, or 0."""
    every = np.empty((len(music.uris), len(np.unique(music.labels))))
    for number in range(FOLDS):
        with np.load(folder / f"crnn-{number}.npz", allow_pickle=False) as saved:
            clips = saved["test"]
        tested = music.fold == number
        every[tested] = clips.reshape(tested.sum(), -1, clips.shape[1]).mean(axis=1)
    return right(every, music)


def print_tests(music: Music, arguments: argparse.Namespace) -> None:
    crnn = arguments.crnn and read_crnn(arguments.crnn, music)
    groups = resampling.groups_of([""] * len(music.uris), music.uris)
    print("| network | weights | trained | right | share | over seeds | s | minus crnn |")
    print("|---|---|---|---|---|---|---|---|")

    def print_row(name: str, found: list[Floats], seconds: str) -> None:
        rights = [right(probabilities, music) for probabilities in found]
        sums = [int(one.sum()) for one in rights]
        cells = [name, str(sums[0]), cell(resampling.share(rights[0], groups))]
        cells += [f"{min(sums)} to {max(sums)}" if len(sums) > 1 else "", seconds]
        cells.append(
            "" if crnn is None else cell(resampling.paired_difference(rights[0], crnn, groups))
        )
        print(f"| {' | '.join(cells)} |", flush=True)

    tested: dict[Variant, list[Floats]] = {}
    for variant in VARIANTS:
        seeds = range(1 if variant.fine_tune_epochs else arguments.seeds)
        tested[variant], seconds = test(variant, music, seeds)
        print_row(variant.name, tested[variant], f"{seconds:.0f}")
    pairs = zip(*(tested[variant] for variant in AVERAGED), strict=True)
    print_row("average | msd | heads", [np.mean(pair, axis=0) for pair in pairs], "")
    if crnn is not None:
        share = cell(resampling.share(crnn, groups))
        print(f"| crnn | none | whole | {crnn.sum():.0f} | {share} | | | |")


def inner_splits(music: Music) -> Iterator[tuple[Mask, Mask]]:
    """Yield recordings to train and to measure on, of the three folds that a split trains on."""
    for number in range(FOLDS):
        used = [(number + step) % FOLDS for step in (2, 3, 4)]
        for measured in used:
            inside = np.isin(music.fold, used)
            yield inside & (music.fold != measured), music.fold == measured


class Choices:
    """Trainings of one network on one inner split, with features computed once where possible."""

    def __init__(self, music: Music, variant: Variant, trained: Mask, measured: Mask) -> None:
        self._music, self._variant = music, variant
        self._trained, self._measured = trained, measured
        self._inputs: dict[tuple[float, int | None], tuple[Clips, Clips, FeatureCache]] = {}

    def measure(self, changes: Changes, seed: int) -> Floats:
        """Return the measured recordings' probabilities after a training with some changes."""
        from components.models import musicnn
        from components.trainer.features import FeatureCache

        of_model = {field.name for field in dataclasses.fields(ModelSettings)}
        of_training = {field.name for field in dataclasses.fields(TrainingSettings)}
        key = changes.get("pooled_scale", musicnn.POOLED_SCALE), changes.get("clips")
        if key not in self._inputs:
            train = self._music.random(self._trained, key[1])
            measured = self._music.consecutive(self._measured)
            self._inputs[key] = train, measured, FeatureCache(TRAINING.batch_size)
        train, measured, cache = self._inputs[key]
        model = self._variant.settings(**{k: v for k, v in changes.items() if k in of_model})
        training = {k: v for k, v in changes.items() if k in of_training - of_model}
        usual, musicnn.POOLED_SCALE = musicnn.POOLED_SCALE, key[0]
        try:
            network = fit(
                self._variant.network,
                model,
                dataclasses.replace(TRAINING, seed=seed, **training),
                (train, measured),
                cache,
            )
            return self._music.predict(network, self._measured)
        finally:
            musicnn.POOLED_SCALE = usual


def print_choices(music: Music) -> None:
    rights: list[list[float]] = [[] for _ in CHOICES]
    losses: list[list[float]] = [[] for _ in CHOICES]
    for number, (trained, measured) in enumerate(inner_splits(music)):
        choices = Choices(music, AVERAGED[0], trained, measured)
        labels = music.labels[measured]
        for changes, hits, loss in zip(CHOICES, rights, losses, strict=True):
            probabilities = choices.measure(changes, number)
            hits += list(probabilities.argmax(axis=1) == labels)
            loss += list(-np.log(np.maximum(probabilities[np.arange(len(labels)), labels], 1e-7)))
        print(f"{number + 1} splits done", file=sys.stderr, flush=True)
    print("| setting | share right | log loss |")
    print("|---|---|---|")
    for changes, hits, loss in zip(CHOICES, rights, losses, strict=True):
        name = ", ".join(f"{key} = {value:g}" for key, value in changes.items()) or "as shipped"
        print(f"| {name} | {np.mean(hits):.3f} | {np.mean(loss):.3f} |")


def main() -> None:
    parser = command.parser(__file__, __doc__)
    parser.add_argument("--clips", type=int, default=10, help="random clips a recording")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds")
    parser.add_argument("--crnn", type=pathlib.Path, help="folder of crnn's predictions")
    parser.add_argument("--choose", action="store_true", help="compare settings of the head")
    arguments = parser.parse_args()
    music = read_music(arguments.clips)
    if arguments.choose:
        print_choices(music)
    else:
        print_tests(music, arguments)


if __name__ == "__main__":
    main()
