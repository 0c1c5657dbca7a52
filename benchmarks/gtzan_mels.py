"""Every network, classical model and ensemble on real music, under one protocol.

    GENREFLOW_DATA=... taskset -c 0 python -m benchmarks.gtzan_mels --networks cnn_small crnn

800 real tracks of GTZAN's 10 genres as 3-second spectrograms (GENREFLOW_DATA/gtzan_mels).
A track gives four overlapping clips of the project's own size; a track's probabilities are
the mean of its clips'. Ten folds by track, stratified by genre, with tracks that are copies
of each other (correlation above 0.95) kept together. Split k tests on fold k, validates on
the next and trains on the other eight, with seed k; "--splits N" pools the test tracks of
the first N. A split chooses its epoch and the SVM its C on the validation tenth.

"--choose" is for comparing settings: the test folds (the first three) are left out of it
altogether; it trains on five of the others and validates on the last two.

The SVM looks at each band's mean and deviation over a track's three seconds. The other classical
models are the project's baselines with their default settings, on 15 principal components of
clips: its random forest is the reference study's recipe. Ensembles average the single models.

Each network has the same "--budget" of processor seconds for its training: its epochs, and
with them the fall of the learning rate, are what fits into it. Give the program one core
(taskset), and the time does not depend on what else runs. 95 % intervals are bootstraps by
group of tracks; "minus ..." is the paired difference to that model. "--save FOLDER" keeps what each
network says of each clip, and takes it from there when the program is run again.

On a machine with a GPU and JAX: KERAS_BACKEND=jax.
"""

from __future__ import annotations

import argparse
import json
import pathlib
from typing import Any

import numpy as np

from benchmarks import gtzan_models as models
from benchmarks.mels import (
    FOLDS,
    Floats,
    Tracks,
    by_track,
    fold_of,
    folder,
    interval,
    load_tracks,
    shown,
)

ROOT = pathlib.Path(__file__).resolve().parents[1]


TEST_FOLDS = 3
CHOOSING_FOLDS = (8, 9)
FOREST = "random_forest"


def splits_of(tracks: Tracks, arguments: argparse.Namespace) -> list[models.Split]:
    """The splits that are pooled; with --choose the one that no test track is in."""
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
    found: list[models.Answers],
    splits: list[models.Split],
    tracks: Tracks,
    rights: dict[str, Floats],
) -> str:
    """A model's cells; `rights` of the models before it, by test track, gets its own."""
    validated = np.concatenate(
        [
            by_track(answers.validation) == tracks.labels[split.validation]
            for answers, split in zip(found, splits, strict=True)
        ]
    )
    parameters, loss = found[0].parameters, ""
    if losses := [answers.loss for answers in found if answers.loss is not None]:
        loss = f" (loss {np.mean(losses):.3f})"
    cells = [name, "" if parameters is None else f"{parameters:,}", f"{validated.mean():.3f}{loss}"]
    if tested := [split.test for split in splits if split.test.any()]:
        right = np.concatenate(
            [
                by_track(answers.test) == tracks.labels[test]
                for answers, test in zip(found, tested, strict=True)
            ]
        ).astype(np.float32)
        groups = np.concatenate([tracks.groups[test] for test in tested])
        cells.append(shown(*interval(right, groups)))
        for other in (models.SVM, FOREST):
            difference = other in rights and other != name
            cells.append(shown(*interval(right - rights[other], groups)) if difference else "")
        rights[name] = right
    seconds = f"{np.mean([answers.seconds for answers in found]):.0f}"
    if found[0].epochs is not None:
        best = ", ".join(str(answers.best_epoch) for answers in found)
        seconds += f" ({found[0].epochs} epochs, best {best})"
    return f"| {' | '.join([*cells, seconds])} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--networks", nargs="*", default=["ffnn", "cnn_small", "crnn"])
    parser.add_argument(
        "--no-baselines", action="store_true", help="the networks and the SVM alone"
    )
    parser.add_argument("--splits", type=int, default=TEST_FOLDS)
    parser.add_argument("--budget", type=float, default=300.0, help="processor seconds a training")
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--training", type=json.loads, default={}, help="JSON of [training]")
    parser.add_argument("--model", type=json.loads, default={}, help="JSON of [models.*]")
    parser.add_argument("--augmentation", type=json.loads, default={}, help="JSON")
    parser.add_argument("--choose", action="store_true", help="settings by, on validation")
    parser.add_argument("--save", type=pathlib.Path, help="folder of the networks' answers")
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    tracks = load_tracks(folder())
    splits = splits_of(tracks, arguments)
    rights: dict[str, Floats] = {}
    test = "" if arguments.choose else " test | minus SVM | minus random_forest |"
    print(f"| model | parameters | validation |{test} training, s |")
    print(f"|---|---|---|{'---|' * test.count('|')}---|", flush=True)

    def show(name: str, found: list[models.Answers]) -> None:
        print(row(name, found, splits, tracks, rights), flush=True)

    show(models.SVM, [models.svm(tracks, split) for split in splits])
    classical: dict[str, list[models.Answers]] = {}
    if not arguments.no_baselines:
        for split in splits:
            for name, answers in models.baselines(tracks, split):
                classical.setdefault(name, []).append(answers)
        # The forest first: the others are compared with it.
        for name in sorted(classical, key=lambda name: name != FOREST):
            show(name, classical[name])
    networks: dict[str, list[models.Answers]] = {}
    for name in arguments.networks:
        networks[name] = [models.network(name, tracks, split, arguments) for split in splits]
        show(name, networks[name])
    averaged: dict[str, list[Any]] = {}
    for index, split in enumerate(splits):
        made = models.ensembles(
            {name: found[index] for name, found in networks.items()},
            {name: found[index] for name, found in classical.items()},
            tracks.labels[split.validation],
        )
        for name, answers in made:
            averaged.setdefault(name, []).append(answers)
    for name, found in averaged.items():
        show(name, found)


if __name__ == "__main__":
    main()
