"""Transfer learning in two phases, without the internet: from some genres to the others.

    GENREFLOW_DATA=... taskset -c 0 python -m benchmarks.transfer [--networks vgg16 resnet50]

A base is trained on five of GTZAN's genres (GENREFLOW_DATA/gtzan_mels; the even ones of the
sorted names), written to a file, and loaded with `weights = FILE` for the other five. These
have few tracks to train on (24 a genre), which is when one would transfer. Three trainings
are compared on the same tracks: the whole network from random weights, a head on the frozen
base, and both phases; the whole network and the second phase have the same budget of
processor seconds. What the pretraining took is said beside. ImageNet weights are not tried.

Of the other genres' tracks 30 % train, 20 % validate and 50 % test, copies kept together;
epochs are chosen on validation. 95 % intervals are bootstraps by group of tracks.
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import sys

import numpy as np
import numpy.typing as npt

from benchmarks import mels

ROOT = pathlib.Path(__file__).resolve().parents[1]


HEAD_EPOCHS, HEAD_PATIENCE = 60, 10


def genres(folder: pathlib.Path, *, source: bool) -> tuple[str, ...]:
    """The genres to learn a base from, or those to use it on."""
    return mels.load_tracks(folder).genres[0 if source else 1 :: 2]


def base_of(network: str, keep: pathlib.Path, *, side: int, budget: float) -> pathlib.Path:
    """Weights of a base trained on the source genres: from `keep`, or trained and kept there."""
    from components.models.settings import ModelSettings
    from components.trainer.settings import TrainingSettings

    file = keep / f"{network}-{side}-{budget:.0f}.weights.h5"
    if file.exists():
        return file
    folder = mels.folder()
    tracks = mels.load_tracks(folder, genres(folder, source=True))
    fold = mels.fold_of(tracks, 0)
    clips = {
        "train": mels.clips_of(tracks, fold > 0),
        "validation": mels.clips_of(tracks, fold == 0),
    }
    made, history, seconds = mels.fit(
        network,
        clips,
        genres=len(tracks.genres),
        model=ModelSettings(image_size=side),
        training=TrainingSettings(),
        budget=budget,
    )
    assert made.base is not None
    keep.mkdir(parents=True, exist_ok=True)
    made.base.get_layer("convolutions").save_weights(file)
    kept = history.epochs[history.phases[0].best_epoch - 1]
    print(
        f"{network}: base trained on {', '.join(tracks.genres)} for {seconds:.0f} s, "
        f"{len(history.epochs)} epochs; {kept.accuracy:.2f} of the training clips and "
        f"{kept.val_accuracy:.2f} of the validation clips right",
        file=sys.stderr,
        flush=True,
    )
    return file


def target() -> tuple[mels.Tracks, dict[str, npt.NDArray[np.bool_]]]:
    """The other genres, and which of their tracks train, validate and test."""
    folder = mels.folder()
    tracks = mels.load_tracks(folder, genres(folder, source=False))
    fold = mels.fold_of(tracks, 1)
    return tracks, {"train": fold < 3, "validation": np.isin(fold, (3, 4)), "test": fold > 4}


def compare(network: str, file: pathlib.Path, *, side: int, budget: float) -> None:
    """Prints a row for each way of training."""
    from components.models.settings import ModelSettings
    from components.trainer.settings import TrainingSettings

    tracks, chosen = target()
    clips = {split: mels.clips_of(tracks, mask) for split, mask in chosen.items()}
    labels, groups = tracks.labels[chosen["test"]], tracks.groups[chosen["test"]]
    scratch = ModelSettings(image_size=side)
    trained = ModelSettings(image_size=side, weights=str(file))
    both = TrainingSettings(epochs=HEAD_EPOCHS, patience=HEAD_PATIENCE)
    head = dataclasses.replace(both, fine_tune_epochs=0)
    ways = {
        "whole, from random weights": (scratch, TrainingSettings(), budget),
        "head on the frozen base": (trained, head, 0.0),
        "head, then the base": (trained, both, budget),
    }
    first = None
    for way, (model, training, allowed) in ways.items():
        made, history, seconds = mels.fit(
            network, clips, genres=5, model=model, training=training, budget=allowed
        )
        right = (mels.predicted(made, clips["test"]) == labels).astype(np.float32)
        cells = [network, way, mels.shown(*mels.interval(right, groups)), ""]
        if first is None:
            first = right
        else:
            cells[3] = mels.shown(*mels.interval(right - first, groups))
        cells += [f"{seconds:.0f}", " + ".join(str(phase.epochs) for phase in history.phases)]
        print(f"| {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="*", default=["vgg16", "resnet50"])
    parser.add_argument("--budget", type=float, default=200.0, help="processor seconds a training")
    parser.add_argument("--pretraining", type=float, default=600.0, help="processor seconds")
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--keep", type=pathlib.Path, default=pathlib.Path("benchmark-bases"))
    arguments = parser.parse_args()
    print("| network | trained | test tracks right | minus random weights | s | epochs |")
    print("|---|---|---|---|---|---|")
    for network in arguments.networks:
        file = base_of(
            network, arguments.keep, side=arguments.image_size, budget=arguments.pretraining
        )
        compare(network, file, side=arguments.image_size, budget=arguments.budget)


if __name__ == "__main__":
    main()
