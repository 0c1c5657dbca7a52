"""Speed and accuracy of VGG16 by the width of its two dense layers.

    GENREFLOW_DATA=... taskset -c 0 python -m benchmarks.vgg16_head [--widths 2048 512 256]

A base is trained on five of GTZAN's genres (as in benchmarks.transfer) and used on the other five.
Tracks of reported tests are left out: the test half of benchmarks.transfer and the test folds of
benchmarks.gtzan_mels. The others are divided into two halves by track, with copies together. Each
half trains once and validates once. Both phases have a fixed number of epochs. The original is
4,096 wide; at 64 pixels the head has 2,048 input features.

The table has the number of weights in the head, the median seconds of an epoch of the first phase
with cached features, the validation accuracy and loss on clips in each phase's best epoch (means of
the two halves), and the share of tracks that the kept network classifies right.
benchmarks.train_speed measures the gain from cached features.
"""

from __future__ import annotations

import pathlib
import statistics
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from benchmarks.gtzan_mels import TEST_FOLDS
from benchmarks.shared import command
from benchmarks.shared import gtzan_tracks as gtzan
from benchmarks.transfer import genres, load_target, train_base

if TYPE_CHECKING:
    from components.trainer.callbacks import EpochRecord

HEAD_EPOCHS, HEAD_PATIENCE = 60, 10


def halves() -> tuple[gtzan.Tracks, list[npt.NDArray[np.bool_]]]:
    """Return the target genres' tracks, and the two halves of those in no reported test."""
    every = gtzan.load_tracks(gtzan.folder())
    names = genres(gtzan.folder(), source=False)
    of_target = np.isin([every.genres[label] for label in every.labels], names)
    reported = gtzan.fold_of(every, 0)[of_target] < TEST_FOLDS
    tracks, chosen = load_target()
    free = ~(reported | chosen["test"])
    half = gtzan.fold_of(tracks, 2) % 2
    return tracks, [free & (half == side) for side in (0, 1)]


def measure(width: int, file: pathlib.Path, side: int, fine_tune_epochs: int) -> str:
    """Train with a width, and return its row of the table."""
    from components.models.settings import ModelSettings
    from components.trainer.settings import TrainingSettings

    tracks, parts = halves()
    training = TrainingSettings(
        epochs=HEAD_EPOCHS, patience=HEAD_PATIENCE, fine_tune_epochs=fine_tune_epochs
    )
    rights: list[npt.NDArray[np.bool_]] = []
    phases: dict[str, list[EpochRecord]] = {"head": [], "fine_tune": []}
    seconds: list[float] = []
    for train, validation in (parts, parts[::-1]):
        network, history, _ = gtzan.fit(
            "vgg16",
            {
                "train": gtzan.clips_of(tracks, train),
                "validation": gtzan.clips_of(tracks, validation),
            },
            genres=len(tracks.genres),
            model=ModelSettings(image_size=side, weights=str(file), head_units=width),
            training=training,
        )
        labels = tracks.labels[validation]
        rights.append(gtzan.predicted(network, gtzan.clips_of(tracks, validation)) == labels)
        for phase, best in phases.items():
            epochs = [epoch for epoch in history.epochs if epoch.phase == phase]
            best.append(min(epochs, key=lambda epoch: epoch.val_loss))
            if phase == "head":
                seconds += [epoch.seconds for epoch in epochs[1:]]
    cells = [str(width), f"{network.head.count_params():,}", f"{statistics.median(seconds):.2f}"]
    for best in phases.values():
        cells.append(f"{statistics.mean(epoch.val_accuracy for epoch in best):.3f}")
        cells.append(f"{statistics.mean(epoch.val_loss for epoch in best):.3f}")
    groups = np.concatenate([tracks.groups[part] for part in parts[::-1]])
    right = np.concatenate(rights).astype(np.float32)
    cells.append(gtzan.format_interval(*gtzan.interval(right, groups)))
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = command.parser(__file__, __doc__)
    parser.add_argument("--widths", nargs="*", type=int, default=[2048, 512, 256])
    parser.add_argument("--fine-tune-epochs", type=int, default=2, help="of the second phase")
    command.add_base_arguments(parser)
    arguments = parser.parse_args()
    side = arguments.image_size
    file = train_base("vgg16", arguments.keep, side=side, budget=arguments.pretraining)
    print("| width | weights | s an epoch | phase 1 | loss | phase 2 | loss | tracks right |")
    print("|---|---|---|---|---|---|---|---|")
    for width in arguments.widths:
        print(measure(width, file, side, arguments.fine_tune_epochs), flush=True)


if __name__ == "__main__":
    main()
