"""Accuracy of every network, classical model and ensemble on real music, under one protocol.

    GENREFLOW_DATA=... taskset -c 0 python -m benchmarks.gtzan_mels --networks cnn_small crnn

GENREFLOW_DATA/gtzan_mels has 800 real tracks of GTZAN's 10 genres as 3-second spectrograms. A track
gives four overlapping clips of the project's own size; its probabilities are the mean of theirs.
There are ten folds by track, stratified by genre. Tracks that are copies of each other (correlation
above 0.95) share a fold. Split k tests on fold k, validates on the next and trains on the other
eight, with seed k; "--splits N" pools the test tracks of the first N splits. Networks choose their
epoch, and the SVM its C, on the validation fold.

"--choose" is for comparing settings. It leaves out the test folds (the first three), trains on five
of the others and validates on the last two.

The SVM's features are each band's mean and deviation over a track's three seconds. The other
classical models are the project's baselines with default settings, on 15 principal components of
clips. The random forest is the reference study's recipe. Ensembles average the single models.

Each network has the same --budget of processor seconds for its training, which decides its number
of epochs and the decay of its learning rate. Give the program one core (taskset), so that the time
does not depend on other processes. 95 % intervals are bootstraps by group of tracks; "minus ..." is
the paired difference to that model. "--save FOLDER" keeps each network's predictions, and a rerun
reads them from there.

On a machine with a GPU and JAX, set KERAS_BACKEND=jax.
"""

from __future__ import annotations

import argparse
import json
import pathlib
from typing import Any

import numpy as np

from benchmarks.shared import command
from benchmarks.shared import gtzan_models as models
from benchmarks.shared.gtzan_tracks import (
    FOLDS,
    Floats,
    Tracks,
    by_track,
    fold_of,
    folder,
    format_interval,
    interval,
    load_tracks,
)

TEST_FOLDS = 3
CHOOSING_FOLDS = (8, 9)
FOREST = "random_forest"


def splits_of(tracks: Tracks, arguments: argparse.Namespace) -> list[models.Split]:
    """Return the splits to pool; with --choose a single one without test tracks."""
    fold = fold_of(tracks, 0)
    if arguments.choose:
        unused, validation = fold < TEST_FOLDS, np.isin(fold, CHOOSING_FOLDS)
        return [models.Split(0, ~(unused | validation), validation, np.zeros_like(unused))]
    found = []
    for number in range(arguments.splits):
        test, validation = fold == number, fold == (number + 1) % FOLDS
        found.append(models.Split(number, ~(test | validation), validation, test))
    return found


def row(
    name: str,
    found: list[models.ModelResult],
    splits: list[models.Split],
    tracks: Tracks,
    rights: dict[str, Floats],
) -> str:
    """Return a model's row of the table.

    Args:
      name: the model.
      found: its result in each split.
      splits: the splits.
      tracks: all tracks.
      rights: for each model of earlier rows 1 or 0 for each test track; this model is added.
    """
    validated = np.concatenate(
        [
            by_track(result.validation) == tracks.labels[split.validation]
            for result, split in zip(found, splits, strict=True)
        ]
    )
    parameters, loss = found[0].parameters, ""
    if losses := [result.loss for result in found if result.loss is not None]:
        loss = f" (loss {np.mean(losses):.3f})"
    cells = [name, "" if parameters is None else f"{parameters:,}", f"{validated.mean():.3f}{loss}"]
    if tested := [split.test for split in splits if split.test.any()]:
        right = np.concatenate(
            [
                by_track(result.test) == tracks.labels[test]
                for result, test in zip(found, tested, strict=True)
            ]
        ).astype(np.float32)
        groups = np.concatenate([tracks.groups[test] for test in tested])
        cells.append(format_interval(*interval(right, groups)))
        for other in (models.SVM, FOREST):
            difference = ""
            if other in rights and other != name:
                difference = format_interval(*interval(right - rights[other], groups))
            cells.append(difference)
        rights[name] = right
    seconds = f"{np.mean([result.seconds for result in found]):.0f}"
    if found[0].epochs is not None:
        best = ", ".join(str(result.best_epoch) for result in found)
        seconds += f" ({found[0].epochs} epochs, best {best})"
    return f"| {' | '.join([*cells, seconds])} |"


def main() -> None:
    parser = command.parser(__file__, __doc__)
    parser.add_argument("--networks", nargs="*", default=["ffnn", "cnn_small", "crnn"])
    parser.add_argument("--no-baselines", action="store_true", help="only the networks and the SVM")
    parser.add_argument("--splits", type=int, default=TEST_FOLDS)
    parser.add_argument("--budget", type=float, default=300.0, help="processor seconds a training")
    parser.add_argument("--image-size", type=int, default=64, help="pixels")
    parser.add_argument(
        "--training", type=json.loads, default={}, help="settings of [training], as JSON"
    )
    parser.add_argument(
        "--model", type=json.loads, default={}, help="settings of [models.*], as JSON"
    )
    parser.add_argument(
        "--augmentation", type=json.loads, default={}, help="[training.augmentation], as JSON"
    )
    parser.add_argument("--choose", action="store_true", help="use no test fold; see above")
    parser.add_argument("--save", type=pathlib.Path, help="folder for the networks' predictions")
    parser.add_argument("--verbose", action="store_true", help="print every epoch")
    arguments = parser.parse_args()
    tracks = load_tracks(folder())
    splits = splits_of(tracks, arguments)
    rights: dict[str, Floats] = {}
    test = "" if arguments.choose else " test | minus SVM | minus random_forest |"
    print(f"| model | parameters | validation |{test} training, s |")
    print(f"|---|---|---|{'---|' * test.count('|')}---|", flush=True)

    def show(name: str, found: list[models.ModelResult]) -> None:
        print(row(name, found, splits, tracks, rights), flush=True)

    show(models.SVM, [models.train_svm(tracks, split) for split in splits])
    classical: dict[str, list[models.ModelResult]] = {}
    if not arguments.no_baselines:
        for split in splits:
            for name, result in models.train_baselines(tracks, split):
                classical.setdefault(name, []).append(result)
        # The forest comes first, as later rows are compared with it.
        for name in sorted(classical, key=lambda name: name != FOREST):
            show(name, classical[name])
    networks: dict[str, list[models.ModelResult]] = {}
    for name in arguments.networks:
        networks[name] = [models.train_network(name, tracks, split, arguments) for split in splits]
        show(name, networks[name])
    averaged: dict[str, list[Any]] = {}
    for index, split in enumerate(splits):
        made = models.make_ensembles(
            {name: found[index] for name, found in networks.items()},
            {name: found[index] for name, found in classical.items()},
            tracks.labels[split.validation],
        )
        for name, result in made:
            averaged.setdefault(name, []).append(result)
    for name, found in averaged.items():
        show(name, found)


if __name__ == "__main__":
    main()
