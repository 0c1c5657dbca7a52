"""Comparison of features and settings for the defaults of [baselines], on real music.

    GENREFLOW_DATA=... taskset -c 0 python -m benchmarks.baselines_choice [--features-only]

Tracks, clips and folds are those of `python -m benchmarks.gtzan_mels --choose`. They leave out the
three folds on which that program tests: 402 tracks train, 162 validate. A track's probabilities
are the mean of its four clips'. Guessing gets 0.10. With so few tracks, differences of a few
hundredths are within chance.

The first table compares features with default models, the second each model's settings on the
chosen features. "log loss" is the mean of -log p of the true genre over tracks. It rates the
probabilities, which ensembles average.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.gtzan_mels import CHOOSING_FOLDS, TEST_FOLDS
from benchmarks.shared import command
from benchmarks.shared.gtzan_tracks import (
    OFFSETS,
    Floats,
    Tracks,
    clips_of,
    fold_of,
    folder,
    load_tracks,
)
from components.baselines import features as pictures
from components.baselines.models import fit_model, probabilities
from components.baselines.settings import BaselineName, BaselineSettings
from components.baselines.train import array_blocks

MIN_DEVIATION = 1e-3

Labels = npt.NDArray[np.int64]
# Training features and labels, validation features and labels.
Data = tuple[Floats, Labels, Floats, Labels]

TRIED: dict[BaselineName, list[dict[str, Any]]] = {
    "knn": [
        {"n_neighbors": n, "weights": weights}
        for n in (5, 15, 30, 60)
        for weights in ("uniform", "distance")
    ],
    "svm": [
        {"C": c, "gamma": gamma} for c in (0.3, 1.0, 3.0) for gamma in (0.03, None, 0.15)
    ],
    "logistic": [{"C": c} for c in (0.01, 0.1, 1.0, 10.0)],
    "random_forest": [
        {"n_estimators": n, "min_samples_leaf": leaf}
        for n, leaf in ((300, 1), (300, 2), (300, 4), (300, 8))
    ],
    "gradient_boosting": [
        {"n_estimators": n, "learning_rate": rate, "max_depth": depth, "subsample": share}
        for n, rate, depth, share in (
            (50, 0.1, 3, 0.5), (100, 0.1, 2, 0.5), (100, 0.1, 3, 1.0), (100, 0.1, 3, 0.5),
        )
    ],
    "xgboost": [
        {"n_estimators": n, "learning_rate": rate, "max_depth": depth, "min_child_weight": least}
        for n, rate, depth, least in (
            (100, 0.1, 3, 1.0), (200, 0.1, 4, 1.0), (200, 0.05, 3, 1.0), (200, 0.05, 3, 5.0),
        )
    ],
}  # fmt: skip


def keep_decibels(train: Floats, held: Floats) -> tuple[Floats, Floats]:
    return train, held


def standardize_values(train: Floats, held: Floats) -> tuple[Floats, Floats]:
    mean, deviation = train.mean(axis=0), np.maximum(train.std(axis=0), MIN_DEVIATION)
    return (train - mean) / deviation, (held - mean) / deviation


def standardize_clips(train: Floats, held: Floats) -> tuple[Floats, Floats]:
    def standardize(clips: Floats) -> Floats:
        deviation = np.maximum(clips.std(axis=(1, 2), keepdims=True), MIN_DEVIATION)
        return (clips - clips.mean(axis=(1, 2), keepdims=True)) / deviation

    return standardize(train), standardize(held)


# The step before the principal components, and whether the components are scaled.
FEATURES: dict[str, tuple[Callable[[Floats, Floats], tuple[Floats, Floats]], bool]] = {
    "decibels, components scaled": (keep_decibels, True),
    "decibels": (keep_decibels, False),
    "each of the 11,136 values scaled, components scaled": (standardize_values, True),
    "each clip standardised, components scaled": (standardize_clips, True),
}


def reduce(
    tracks: Tracks, standardize: Callable[[Floats, Floats], tuple[Floats, Floats]], *, scaled: bool
) -> tuple[Data, float]:
    """Return features and labels, and the components' share of the variance.

    If `scaled`, every component has deviation 1. Otherwise only the first has, and the others
    keep their proportion to it.
    """
    from components.audio.spectrogram.stored import from_stored

    fold = fold_of(tracks, 0)
    held_out = np.isin(fold, CHOOSING_FOLDS)
    train = clips_of(tracks, (fold >= TEST_FOLDS) & ~held_out)
    held = clips_of(tracks, held_out)
    inputs = standardize(from_stored(train.inputs), from_stored(held.inputs))
    fitted = pictures.fit_features(array_blocks(inputs[0]), 15, 0)
    tables = [pictures.transform(fitted, array_blocks(part)()) for part in inputs]
    if not scaled:
        variances = fitted["pca"].explained_variance_
        tables = [table * np.sqrt(variances / variances[0]).astype(np.float32) for table in tables]
    share = float(fitted["pca"].explained_variance_ratio_.sum())
    return (tables[0], train.labels, tables[1], held.labels), share


def row(name: BaselineName, values: dict[str, Any], data: Data, genres: int) -> str:
    """Fit a model with some settings changed, and return its figures as cells of the table."""
    settings = BaselineSettings(jobs=1)
    if values:
        table = dataclasses.replace(getattr(settings, name), **values)
        settings = dataclasses.replace(settings, **{name: table})
    train, labels, held, held_labels = data
    found = probabilities(fit_model(name, train, labels, genres, settings), held, genres)
    tracks = found.reshape(-1, len(OFFSETS), genres).mean(axis=1)
    true = held_labels[:: len(OFFSETS)]
    numbers = (
        (tracks.argmax(axis=1) == true).mean(),
        (found.argmax(axis=1) == held_labels).mean(),
        -np.log(np.maximum(tracks[np.arange(len(true)), true], 1e-7)).mean(),
    )
    return " | ".join(f"{number:.3f}" for number in numbers)


def main() -> None:
    parser = command.parser(__file__, __doc__)
    parser.add_argument("--features-only", action="store_true", help="print the first table only")
    arguments = parser.parse_args()
    tracks = load_tracks(folder())
    genres = len(tracks.genres)
    chosen: Data | None = None
    print("| features | variance in 15 | model | tracks right | clips | log loss |")
    print("|---|---|---|---|---|---|")
    for label, (standardize, scaled) in FEATURES.items():
        data, share = reduce(tracks, standardize, scaled=scaled)
        chosen = data if chosen is None else chosen
        for name in ("knn", "svm", "logistic", "random_forest"):
            found = row(name, {}, data, genres)
            print(f"| {label} | {share:.3f} | {name} | {found} |", flush=True)
    if arguments.features_only or chosen is None:
        return
    print("\n| model | settings | tracks right | clips | log loss |")
    print("|---|---|---|---|---|")
    for model, tried in TRIED.items():
        for values in tried:
            shown = ", ".join(f"{key} {value}" for key, value in values.items())
            print(f"| {model} | {shown} | {row(model, values, chosen, genres)} |", flush=True)


if __name__ == "__main__":
    main()
