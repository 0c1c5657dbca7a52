"""Precision and recall of `genreflow explore`'s likely wrong labels, where labels are swapped.

    GENREFLOW_DATA=... python -m benchmarks.explore [--seeds 10] [--network cnn_small]

GENREFLOW_DATA/gtzan_mels has 800 real tracks of GTZAN's 10 genres as 3-second spectrograms, each
cut into four clips. A share of the tracks, drawn at random, gets another genre, drawn at random
too. Each method then ranks all tracks by how likely their labels are wrong. Precision is the share
of swapped tracks among the first n of the list, where n is the number swapped; it equals the recall
there. "in 2n" and "in 10 %" are the shares of the swapped tracks among the first 2n, and among the
first tenth of all tracks. "listed" is the length of the list, in multiples of n, and "found" the
share of the swapped tracks in it. GTZAN itself has some 10 % of disputed labels (Sturm 2013,
arXiv:1306.1461), which count as false alarms here, so these figures are lower bounds.

Methods: `explore` is the product's: cross-validated probabilities of a logistic regression on
spectrogram statistics, and the label's probability as a share of the genre's mean. `sure` is
confident learning's own list, the part of it that is marked so. `margin` ranks the same list by the
normalised margin. `baselines` does as `explore`, but with the run's own classical model: an SVM on
15 principal components.

"--network NAME" also trains a network, for --budget processor seconds, on eight of ten folds with
the swapped labels, as a run does. On the tracks of the other two folds, which a run predicts for
validation and test, it compares `explore` (out of fold), the network alone and their mean.
Folds keep copies of a track together. Intervals are over the seeds: mean and standard error.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from benchmarks.shared import command
from benchmarks.shared.gtzan_tracks import (
    FOLDS,
    OFFSETS,
    Floats,
    Tracks,
    clips_of,
    fold_of,
    folder,
    load_tracks,
)
from components.audio.spectrogram.stored import from_stored

Labels = npt.NDArray[np.int64]
Ranking = npt.NDArray[np.int64]
COLUMNS = ("precision at n", "in 2n", "in 10 %", "listed", "found")


def swap(labels: Labels, number: int, genres: int, seed: int) -> tuple[Labels, Labels]:
    """Return labels of which some are swapped, and the swapped tracks."""
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(labels), number, replace=False)
    swapped = labels.copy()
    swapped[chosen] = (labels[chosen] + rng.integers(1, genres, number)) % genres
    return swapped, chosen


def figures(ranking: Ranking, swapped: Labels, tracks: int) -> list[float]:
    """Return the values of COLUMNS for a list of tracks, the likeliest wrong first."""
    n = len(swapped)
    hits = np.isin(ranking, swapped)
    return [
        float(hits[:n].sum() / n),
        float(hits[: 2 * n].sum() / n),
        float(hits[: tracks // 10].sum() / n),
        len(ranking) / n,
        float(hits.sum() / n),
    ]


def listed(probabilities: Floats, labels: Labels, *, sure: bool = False) -> Ranking:
    """Return the tracks that explore lists, or only those that it is sure of, in its order."""
    from genreflow.exploring.label_check.confident import label_issues

    issues = label_issues(probabilities, labels)
    return np.array([one.track for one in issues if one.sure or not sure], np.int64)


def by_margin(probabilities: Floats, labels: Labels) -> Ranking:
    """Return the same tracks by normalised margin: own probability less the largest other."""
    chosen = listed(probabilities, labels)
    others = probabilities[chosen].copy()
    rows = np.arange(len(chosen))
    own = others[rows, labels[chosen]]
    others[rows, labels[chosen]] = -1
    return chosen[np.argsort(own - others.max(axis=1), kind="stable")]


def statistics_of(mel_db: Floats) -> Floats:
    """Return the tracks' features, the means over their clips."""
    from genreflow.exploring.label_check.features import TrackMeans, clip_features

    tracks = np.repeat(np.arange(len(mel_db) // len(OFFSETS)), len(OFFSETS))
    means = TrackMeans(len(mel_db) // len(OFFSETS))
    means.add(tracks, clip_features(mel_db))
    return means.means()


def by_baselines(mel_db: Floats, labels: Labels, tracks: Tracks, seed: int) -> Floats:
    """Return out-of-fold probabilities of the run's SVM on principal components."""
    from components.baselines.settings import BaselineSettings
    from components.baselines.train import array_blocks, fit

    settings = BaselineSettings(models=("svm",), seed=seed, jobs=1)
    fold = np.repeat(fold_of(tracks, seed) % 5, len(OFFSETS))
    clip_labels = np.repeat(labels, len(OFFSETS))
    found = np.zeros((len(mel_db), len(tracks.genres)), np.float32)
    for held in range(5):
        train = fold != held
        fitted = fit(array_blocks(mel_db[train]), clip_labels[train], tracks.genres, settings)
        features = fitted.transform(array_blocks(mel_db[~train])())
        found[~train] = fitted.predict_proba("svm", features)
    return found.reshape(len(labels), len(OFFSETS), -1).mean(axis=1)


def network_probabilities(
    name: str, budget: float, tracks: Tracks, seed: int
) -> tuple[Floats, Labels]:
    """Train a network on eight folds; return its probabilities for the tracks of two, and these."""
    from benchmarks.shared.gtzan_tracks import fit
    from components.models.settings import ModelSettings
    from components.trainer.settings import TrainingSettings

    fold = fold_of(tracks, seed)
    validation, test = fold == 0, fold == 1
    masks = {"train": ~(validation | test), "validation": validation}
    clips = {split: clips_of(tracks, mask) for split, mask in masks.items()}
    network, _, _ = fit(
        name,
        clips,
        genres=len(tracks.genres),
        model=ModelSettings(),
        training=TrainingSettings(seed=seed),
        budget=budget,
    )
    held = np.flatnonzero(validation | test)
    inputs = from_stored(clips_of(tracks, validation | test).inputs)
    predicted = network.model.predict(inputs, batch_size=32, verbose=0)
    return predicted.reshape(len(held), len(OFFSETS), -1).mean(axis=1), held


def compare(
    arguments: argparse.Namespace, tracks: Tracks, share: float, seed: int
) -> dict[str, list[float]]:
    """Return the figures of each method for one draw of swapped labels."""
    from genreflow.exploring.label_check.held_out import combined, out_of_fold

    number = max(1, round(share * len(tracks.labels)))
    labels, swapped = swap(tracks.labels, number, len(tracks.genres), seed)
    mel_db = np.asarray(
        from_stored(clips_of(tracks, np.ones(len(labels), bool)).inputs), np.float32
    )
    own = out_of_fold(statistics_of(mel_db), labels, tracks.groups, len(tracks.genres))
    size = len(labels)
    if arguments.network:
        given = dataclasses.replace(tracks, labels=labels)
        network, held = network_probabilities(arguments.network, arguments.budget, given, seed)
        inside = np.flatnonzero(np.isin(held, swapped))
        sources: Mapping[str, Floats] = {
            "explore, out of fold": own[held],
            arguments.network: network,
            "explore, both": combined(own[held], network),
        }
        return {
            name: figures(listed(rows, labels[held]), inside, len(held))
            for name, rows in sources.items()
        }
    baselines = by_baselines(mel_db, labels, tracks, seed)
    return {
        "explore": figures(listed(own, labels), swapped, size),
        "sure": figures(listed(own, labels, sure=True), swapped, size),
        "margin": figures(by_margin(own, labels), swapped, size),
        "baselines": figures(listed(baselines, labels), swapped, size),
    }


def main() -> None:
    parser = command.parser(__file__, __doc__)
    parser.add_argument("--shares", type=float, nargs="+", default=[0.02, 0.05, 0.1])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--network", default="", help="also a network, such as cnn_small")
    parser.add_argument("--budget", type=float, default=120.0, help="processor seconds of it")
    arguments = parser.parse_args()
    assert FOLDS == 10
    tracks = load_tracks(folder())
    print(f"| swapped | method | {' | '.join(COLUMNS)} |")
    print("|---|---|" + "---|" * len(COLUMNS))
    for share in arguments.shares:
        found: dict[str, list[list[float]]] = {}
        for seed in range(arguments.seeds):
            for name, values in compare(arguments, tracks, share, seed).items():
                found.setdefault(name, []).append(values)
        for name, rows in found.items():
            mean, error = np.mean(rows, axis=0), np.std(rows, axis=0) / np.sqrt(len(rows))
            cells = [f"{one:.2f} ± {other:.2f}" for one, other in zip(mean, error, strict=True)]
            print(f"| {share:.0%} | {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
