"""Every network, the classical recipe and an SVM on real music, under one protocol.

    GENREFLOW_DATA=... python benchmarks/gtzan_mels.py [--networks cnn_small crnn] [--folds 1]

800 real tracks of GTZAN's 10 genres as 3-second spectrograms (GENREFLOW_DATA/gtzan_mels).
A track gives four overlapping clips of the project's own size; a track's probabilities are
the mean of its clips'. Folds are 80/10/10 by track, stratified by genre, with tracks that
are copies of each other (correlation above 0.95) kept together; "--folds N" pools the test
tracks of the first N of ten such splits. What is chosen (epoch, SVM's C) is chosen on the
validation tenth. Each network has the same "--budget" of training seconds: its epochs, and
with them the fall of the learning rate, are what fits into it. 95 % intervals are bootstraps
by group of tracks; "minus SVM" is the paired difference.

On a machine with a GPU and JAX: KERAS_BACKEND=jax.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import json
import os
import pathlib
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

FRAMES = 87
OFFSETS = (0, 14, 29, 43)
FOLDS = 10
COPY_CORRELATION = 0.95
RESAMPLES = 2000
SVM, FOREST = "SVM on band means and deviations", "PCA 15 + random forest"

Floats = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class Tracks:
    """`mel_db` float32 `[tracks, 128, 130]`; `labels`, `groups` int `[tracks]`."""

    mel_db: Floats
    labels: npt.NDArray[np.int64]
    groups: npt.NDArray[np.int64]
    genres: tuple[str, ...]


def load_tracks(folder: pathlib.Path, genres: tuple[str, ...] = ()) -> Tracks:
    """The tracks of some genres (all by default), their decibels restored."""
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
    return Tracks(np.maximum(-80, 17 * (z - peak)), labels, groups, genres)


def fold_of(tracks: Tracks, seed: int) -> npt.NDArray[np.int64]:
    """A number from 0 to 9 for each track: the same within a group, even within a genre."""
    rng = np.random.default_rng(seed)
    fold = np.empty(len(tracks.labels), np.int64)
    for label in range(len(tracks.genres)):
        found = np.unique(tracks.groups[tracks.labels == label])
        for place, group in enumerate(rng.permutation(found)):
            fold[tracks.groups == group] = (place + label) % FOLDS
    return fold


def clips_of(tracks: Tracks, chosen: npt.NDArray[np.bool_]) -> Any:
    """The tracks' clips as training takes them, four in a row for each track."""
    from components.audio.stored import to_stored
    from components.trainer.batches import Clips

    mel_db = tracks.mel_db[chosen]
    windows = np.stack([mel_db[:, :, at : at + FRAMES] for at in OFFSETS], axis=1)
    # Relative to each clip's own peak, as the project's spectrograms are.
    windows = np.maximum(windows - windows.max(axis=(2, 3), keepdims=True), -80)
    inputs = to_stored(windows.reshape(-1, *windows.shape[2:]).astype(np.float32))
    return Clips(inputs, np.repeat(tracks.labels[chosen], len(OFFSETS)))


def by_track(probabilities: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.int64]:
    """The predicted label of each track: of the mean of its clips."""
    return probabilities.reshape(-1, len(OFFSETS), probabilities.shape[1]).mean(axis=1).argmax(1)


def run_svm(tracks: Tracks, train: Any, validation: Any, test: Any, seed: int) -> dict[str, Any]:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    features = np.concatenate([tracks.mel_db.mean(axis=2), tracks.mel_db.std(axis=2)], axis=1)
    begun = time.perf_counter()
    models = []
    for c in (0.3, 1.0, 3.0, 10.0, 30.0):
        model = make_pipeline(StandardScaler(), SVC(C=c)).fit(features[train], tracks.labels[train])
        models.append((model.score(features[validation], tracks.labels[validation]), -c, model))
    best = max(models, key=lambda found: found[:2])
    seconds = time.perf_counter() - begun
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

    begun = time.perf_counter()
    model = make_pipeline(
        PCA(15, random_state=seed), RandomForestClassifier(300, random_state=seed)
    ).fit(*flat(train))
    seconds = time.perf_counter() - begun
    right = by_track(model.predict_proba(flat(validation)[0])) == tracks.labels[validation]
    return {
        "predicted": by_track(model.predict_proba(flat(test)[0])),
        "validation": right.mean(),
        "seconds": seconds,
        "parameters": None,
    }


def network_runner(name: str, arguments: argparse.Namespace) -> Callable[..., dict[str, Any]]:
    def run(tracks: Tracks, train: Any, validation: Any, test: Any, seed: int) -> dict[str, Any]:
        from components.audio.stored import from_stored
        from components.models import registry
        from components.models.settings import AugmentationSettings, ModelSettings, TrainingSettings
        from components.trainer.settings import resolve
        from components.trainer.training import train as train_network

        model = ModelSettings(
            image_size=arguments.image_size if registry.NETWORKS[name].smallest_side_pixels else 0,
            **arguments.model,
        )
        shape = {"n_mels": tracks.mel_db.shape[1], "frames": FRAMES, "genres": len(tracks.genres)}
        augmentation = AugmentationSettings(**arguments.augmentation)
        clips = {
            split: clips_of(tracks, chosen)
            for split, chosen in (("train", train), ("validation", validation), ("test", test))
        }

        def settings(epochs: int) -> Any:
            shared = TrainingSettings(
                epochs=epochs,
                patience=epochs,
                seed=seed,
                augmentation=augmentation,
                **arguments.training,
            )
            return resolve(shared, model, registry.defaults(name))

        def fit(epochs: int) -> Any:
            network = registry.build(name, model, seed=seed, **shape)
            history = train_network(network, clips["train"], clips["validation"], settings(epochs))
            return network, history

        epochs = arguments.epochs
        if not epochs:
            _, probe = fit(2)
            epochs = max(2, int(arguments.budget / probe.epochs[-1].seconds))
        network, history = fit(epochs)

        def predict(split: str) -> npt.NDArray[np.int64]:
            inputs = from_stored(clips[split].inputs)
            return by_track(network.model.predict(inputs, batch_size=32, verbose=0))

        right = predict("validation") == tracks.labels[validation]
        if arguments.verbose:
            for record in history.epochs:
                print(
                    f"  {record.epoch:3d} {record.loss:.3f} {record.accuracy:.3f} "
                    f"{record.val_loss:.3f} {record.val_accuracy:.3f}",
                    file=sys.stderr,
                )
        return {
            "predicted": predict("test"),
            "validation": right.mean(),
            "seconds": history.train_seconds,
            "parameters": network.parameters,
            "epochs": len(history.epochs),
            "best_epoch": history.phases[0].best_epoch,
        }

    return run


def interval(
    right: npt.NDArray[np.floating[Any]], groups: npt.NDArray[np.int64]
) -> tuple[float, float, float]:
    """Mean and its 95 % bootstrap interval, whole groups drawn."""
    names, index = np.unique(groups, return_inverse=True)
    totals = np.bincount(index, right)
    counts = np.bincount(index)
    rng = np.random.default_rng(0)
    draws = rng.integers(0, len(names), (RESAMPLES, len(names)))
    means = totals[draws].sum(axis=1) / counts[draws].sum(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(right.mean()), float(low), float(high)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="*", default=["ffnn", "cnn_small", "crnn"])
    parser.add_argument("--folds", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--budget", type=float, default=300.0, help="training seconds a network")
    parser.add_argument("--epochs", type=int, default=0, help="in place of the budget")
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--training", type=json.loads, default={}, help="JSON of [training]")
    parser.add_argument("--model", type=json.loads, default={}, help="JSON of [models.*]")
    parser.add_argument("--augmentation", type=json.loads, default={}, help="JSON")
    parser.add_argument("--validation-only", action="store_true", help="to choose settings by")
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    tracks = load_tracks(pathlib.Path(os.environ["GENREFLOW_DATA"], "gtzan_mels"))
    fold = fold_of(tracks, 0)
    runners: dict[str, Callable[..., dict[str, Any]]] = {SVM: run_svm, FOREST: run_forest}
    runners |= {name: network_runner(name, arguments) for name in arguments.networks}
    tested = np.isin(fold, np.arange(arguments.folds))
    groups = tracks.groups[tested]
    rights: dict[str, Floats] = {}
    print("| model | parameters | validation | test | minus SVM | training, s |")
    print("|---|---|---|---|---|---|")
    for name, run in runners.items():
        right = np.zeros((arguments.seeds, len(fold)), np.float32)
        found = []
        for seed in range(arguments.seeds):
            for number in range(arguments.folds):
                test, validation = fold == number, fold == (number + 1) % FOLDS
                result = run(tracks, ~(test | validation), validation, test, seed)
                right[seed, test] = result["predicted"] == tracks.labels[test]
                found.append(result)
        rights[name] = right.mean(axis=0)[tested]
        validation_mean = np.mean([result["validation"] for result in found])
        cells = [name, _count(found[0]["parameters"]), f"{validation_mean:.3f}"]
        if not arguments.validation_only:
            cells.append(_shown(*interval(rights[name], groups)))
            cells.append(_shown(*interval(rights[name] - rights[SVM], groups)))
        else:
            cells += ["", ""]
        cells.append(f"{np.mean([result['seconds'] for result in found]):.0f}")
        if "epochs" in found[0]:
            cells[-1] += f" ({found[0]['epochs']} epochs, best {found[0]['best_epoch']})"
        print(f"| {' | '.join(cells)} |", flush=True)


def _count(parameters: int | None) -> str:
    return "" if parameters is None else f"{parameters:,}"


def _shown(mean: float, low: float, high: float) -> str:
    return f"{mean:.3f} [{low:.3f}, {high:.3f}]"


if __name__ == "__main__":
    main()
