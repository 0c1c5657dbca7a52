"""Accuracy of transfer learning in two phases, from five genres to five others.

    GENREFLOW_DATA=... taskset -c 0 python -m benchmarks.transfer [--networks vgg16 resnet50]

A base is trained on five of GTZAN's genres (GENREFLOW_DATA/gtzan_mels; every other of the sorted
names), written to a file, and loaded with `weights = FILE` for the other five. These have few
tracks to train on (24 a genre), the usual case for transfer. Three trainings are compared on the
same tracks: the whole network from random weights, a head on the frozen base, and both phases. The
whole network and the second phase have the same budget of processor seconds; the pretraining is not
counted, and its time is printed. ImageNet weights are not tried.

Of the other genres' tracks 30 % train, 20 % validate and 50 % test; copies stay together. Epochs
are chosen on validation. 95 % intervals are bootstraps by group of tracks.
"""

from __future__ import annotations

import dataclasses
import pathlib
import sys

import numpy as np
import numpy.typing as npt

from benchmarks.shared import command, gtzan_tracks

HEAD_EPOCHS, HEAD_PATIENCE = 60, 10


def genres(folder: pathlib.Path, *, source: bool) -> tuple[str, ...]:
    """Return the genres to train a base on, or those to use it on."""
    return gtzan_tracks.load_tracks(folder).genres[0 if source else 1 :: 2]


def train_base(network: str, keep: pathlib.Path, *, side: int, budget: float) -> pathlib.Path:
    """Train a base on the source genres, unless `keep` has it. Return its weights file there."""
    from components.models.settings import ModelSettings
    from components.trainer.settings import TrainingSettings

    file = keep / f"{network}-{side}-{budget:.0f}.weights.h5"
    if file.exists():
        return file
    folder = gtzan_tracks.folder()
    tracks = gtzan_tracks.load_tracks(folder, genres(folder, source=True))
    fold = gtzan_tracks.fold_of(tracks, 0)
    clips = {
        "train": gtzan_tracks.clips_of(tracks, fold > 0),
        "validation": gtzan_tracks.clips_of(tracks, fold == 0),
    }
    made, history, seconds = gtzan_tracks.fit(
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
        f"{network}: base trained on {', '.join(tracks.genres)} in {seconds:.0f} s, "
        f"{len(history.epochs)} epochs; accuracy {kept.accuracy:.2f} on the training clips, "
        f"{kept.val_accuracy:.2f} on the validation clips",
        file=sys.stderr,
        flush=True,
    )
    return file


def load_target() -> tuple[gtzan_tracks.Tracks, dict[str, npt.NDArray[np.bool_]]]:
    """Load the tracks of the other genres, and choose those to train, validate and test on."""
    folder = gtzan_tracks.folder()
    tracks = gtzan_tracks.load_tracks(folder, genres(folder, source=False))
    fold = gtzan_tracks.fold_of(tracks, 1)
    return tracks, {"train": fold < 3, "validation": np.isin(fold, (3, 4)), "test": fold > 4}


def compare(network: str, file: pathlib.Path, *, side: int, budget: float) -> None:
    """Print a row for each kind of training."""
    from components.models.settings import ModelSettings
    from components.trainer.settings import TrainingSettings

    tracks, chosen = load_target()
    clips = {split: gtzan_tracks.clips_of(tracks, mask) for split, mask in chosen.items()}
    labels, groups = tracks.labels[chosen["test"]], tracks.groups[chosen["test"]]
    scratch = ModelSettings(image_size=side)
    trained = ModelSettings(image_size=side, weights=str(file))
    both = TrainingSettings(epochs=HEAD_EPOCHS, patience=HEAD_PATIENCE)
    head = dataclasses.replace(both, fine_tune_epochs=0)
    trainings = {
        "whole, from random weights": (scratch, TrainingSettings(), budget),
        "head on the frozen base": (trained, head, 0.0),
        "head, then the base": (trained, both, budget),
    }
    first = None
    for description, (model, training, allowed) in trainings.items():
        made, history, seconds = gtzan_tracks.fit(
            network, clips, genres=5, model=model, training=training, budget=allowed
        )
        right = (gtzan_tracks.predicted(made, clips["test"]) == labels).astype(np.float32)
        share = gtzan_tracks.format_interval(*gtzan_tracks.interval(right, groups))
        difference = ""
        if first is None:
            first = right
        else:
            difference = gtzan_tracks.format_interval(*gtzan_tracks.interval(right - first, groups))
        cells = [network, description, share, difference]
        cells += [f"{seconds:.0f}", " + ".join(str(phase.epochs) for phase in history.phases)]
        print(f"| {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = command.parser(__file__, __doc__)
    parser.add_argument("--networks", nargs="*", default=["vgg16", "resnet50"])
    parser.add_argument("--budget", type=float, default=200.0, help="processor seconds a training")
    command.add_base_arguments(parser)
    arguments = parser.parse_args()
    print("| network | trained | test tracks right | minus random weights | s | epochs |")
    print("|---|---|---|---|---|---|")
    for network in arguments.networks:
        file = train_base(
            network, arguments.keep, side=arguments.image_size, budget=arguments.pretraining
        )
        compare(network, file, side=arguments.image_size, budget=arguments.budget)


if __name__ == "__main__":
    main()
