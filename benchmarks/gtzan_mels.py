"""Every network, the classical recipe and an SVM on real music, under one protocol.

    GENREFLOW_DATA=... taskset -c 0 python benchmarks/gtzan_mels.py --networks cnn_small crnn

800 real tracks of GTZAN's 10 genres as 3-second spectrograms (GENREFLOW_DATA/gtzan_mels).
A track gives four overlapping clips of the project's own size; a track's probabilities are
the mean of its clips'. Ten folds by track, stratified by genre, with tracks that are copies
of each other (correlation above 0.95) kept together. Split k tests on fold k, validates on
the next and trains on the other eight, with seed k; "--splits N" pools the test tracks of
the first N. A split chooses its epoch and the SVM its C on the validation tenth.

"--choose" is for comparing settings: the test folds (the first three) are left out of it
altogether; it trains on five of the others and validates on the last two.

Each network has the same "--budget" of processor seconds for its training: its epochs, and
with them the fall of the learning rate, are what fits into it. Give the program one core
(taskset), and the time does not depend on what else runs. 95 % intervals are bootstraps by
group of tracks; "minus SVM" is the paired difference.

On a machine with a GPU and JAX: KERAS_BACKEND=jax.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.mels import (  # noqa: E402
    FOLDS,
    Floats,
    Tracks,
    by_track,
    clips_of,
    fit,
    fold_of,
    folder,
    interval,
    load_tracks,
    predicted,
    shown,
)

TEST_FOLDS = 3
CHOOSING_FOLDS = (8, 9)
SVM, FOREST = "SVM on band means and deviations", "PCA 15 + random forest"


def run_svm(tracks: Tracks, train: Any, validation: Any, test: Any, seed: int) -> dict[str, Any]:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    # Standardised: on decibels below the peak it gets 0.04 to 0.08 less.
    features = np.concatenate([tracks.standard.mean(axis=2), tracks.standard.std(axis=2)], axis=1)
    begun = time.process_time()
    models = []
    for c in (0.3, 1.0, 3.0, 10.0, 30.0):
        model = make_pipeline(StandardScaler(), SVC(C=c)).fit(features[train], tracks.labels[train])
        models.append((model.score(features[validation], tracks.labels[validation]), -c, model))
    best = max(models, key=lambda found: found[:2])
    seconds = time.process_time() - begun
    return {
        "predicted": best[2].predict(features[test]),
        "validation": best[0],
        "seconds": seconds,
        "parameters": None,
    }


def run_forest(tracks: Tracks, train: Any, validation: Any, test: Any, seed: int) -> dict[str, Any]:
    from sklearn.decomposition import PCA
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import make_pipeline

    from components.audio.stored import from_stored

    def flat(chosen: Any) -> tuple[Floats, npt.NDArray[np.int64]]:
        clips = clips_of(tracks, chosen)
        return from_stored(clips.inputs).reshape(len(clips), -1), clips.labels

    begun = time.process_time()
    model = make_pipeline(
        PCA(15, random_state=seed), RandomForestClassifier(300, random_state=seed)
    ).fit(*flat(train))
    seconds = time.process_time() - begun
    right = by_track(model.predict_proba(flat(validation)[0])) == tracks.labels[validation]
    return {
        "predicted": by_track(model.predict_proba(flat(test)[0])),
        "validation": right.mean(),
        "seconds": seconds,
        "parameters": None,
    }


def network_runner(name: str, arguments: argparse.Namespace) -> Callable[..., dict[str, Any]]:
    def run(tracks: Tracks, train: Any, validation: Any, test: Any, seed: int) -> dict[str, Any]:
        from components.models import registry
        from components.models.settings import AugmentationSettings, ModelSettings, TrainingSettings

        sized = registry.NETWORKS[name].smallest_side_pixels
        clips = {
            split: clips_of(tracks, chosen)
            for split, chosen in (("train", train), ("validation", validation), ("test", test))
        }
        network, history, seconds = fit(
            name,
            clips,
            genres=len(tracks.genres),
            model=ModelSettings(image_size=arguments.image_size if sized else 0, **arguments.model),
            training=TrainingSettings(
                seed=seed,
                augmentation=AugmentationSettings(**arguments.augmentation),
                **arguments.training,
            ),
            budget=arguments.budget,
        )
        if arguments.verbose:
            for record in history.epochs:
                print(
                    f"  {record.epoch:3d} {record.loss:.3f} {record.accuracy:.3f} "
                    f"{record.val_loss:.3f} {record.val_accuracy:.3f}",
                    file=sys.stderr,
                )
        right = predicted(network, clips["validation"]) == tracks.labels[validation]
        return {
            "predicted": predicted(network, clips["test"]),
            "validation": right.mean(),
            "seconds": seconds,
            "parameters": network.parameters,
            "epochs": len(history.epochs),
            "best_epoch": history.phases[0].best_epoch,
            "loss": history.phases[0].best_val_loss,
        }

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="*", default=["ffnn", "cnn_small", "crnn"])
    parser.add_argument("--no-baselines", action="store_true", help="networks alone")
    parser.add_argument("--splits", type=int, default=TEST_FOLDS)
    parser.add_argument("--budget", type=float, default=300.0, help="processor seconds a training")
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--training", type=json.loads, default={}, help="JSON of [training]")
    parser.add_argument("--model", type=json.loads, default={}, help="JSON of [models.*]")
    parser.add_argument("--augmentation", type=json.loads, default={}, help="JSON")
    parser.add_argument("--choose", action="store_true", help="settings by, on validation")
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    tracks = load_tracks(folder())
    fold = fold_of(tracks, 0)
    runners: dict[str, Callable[..., dict[str, Any]]] = {SVM: run_svm}
    if not arguments.no_baselines:
        runners[FOREST] = run_forest
    runners |= {name: network_runner(name, arguments) for name in arguments.networks}
    splits = [(fold == k, fold == (k + 1) % FOLDS) for k in range(arguments.splits)]
    if arguments.choose:
        splits = [(fold < TEST_FOLDS, np.isin(fold, CHOOSING_FOLDS))]
    tested = np.any([test for test, _ in splits], axis=0)
    rights: dict[str, Floats] = {}
    print("| model | parameters | validation | test | minus SVM | training, s |")
    print("|---|---|---|---|---|---|")
    for name, run in runners.items():
        right = np.zeros(len(fold), np.float32)
        found = []
        for seed, (test, validation) in enumerate(splits):
            result = run(tracks, ~(test | validation), validation, test, seed)
            right[test] = result["predicted"] == tracks.labels[test]
            found.append(result)
        rights[name] = right[tested]
        validated = np.mean([result["validation"] for result in found])
        cells = [name, _count(found[0]["parameters"]), f"{validated:.3f}", "", ""]
        if not arguments.choose:
            groups = tracks.groups[tested]
            cells[3] = shown(*interval(rights[name], groups))
            cells[4] = shown(*interval(rights[name] - rights[SVM], groups))
        cells.append(f"{np.mean([result['seconds'] for result in found]):.0f}")
        if "epochs" in found[0]:
            loss = np.mean([result["loss"] for result in found])
            best = ", ".join(str(result["best_epoch"]) for result in found)
            cells[2] += f" (loss {loss:.3f})"
            cells[5] += f" ({found[0]['epochs']} epochs, best {best})"
        print(f"| {' | '.join(cells)} |", flush=True)


def _count(parameters: int | None) -> str:
    return "" if parameters is None else f"{parameters:,}"


if __name__ == "__main__":
    main()
