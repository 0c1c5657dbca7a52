"""How wide VGG16's two dense layers should be: speed of the first phase, and what is learned.

    GENREFLOW_DATA=... taskset -c 0 python -m benchmarks.vgg16_head [--widths 2048 512 256]

A base that was trained on five of GTZAN's genres (as in transfer.py) is used on the other
five. Of their tracks only those take part that no reported test has: neither transfer.py's
test half nor the test folds of gtzan_mels.py. They are cut in two halves, by track and with
copies together; each half is trained on once and validated on once, so that every track is
validated on once. Both phases have fixed epochs. The original is 4,096 wide; at 64 pixels the
head gets 2,048 features.

Prints the weights of the head, the seconds of an epoch of the first phase with kept features
(the median), the share of validation clips that are right and their loss in the best epoch of
each phase (means of the two halves), and the share of tracks that the kept network has right.
train_speed.py has what keeping the features gains.
"""

from __future__ import annotations

import argparse
import pathlib
import statistics
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from benchmarks import mels
from benchmarks.gtzan_mels import TEST_FOLDS
from benchmarks.transfer import base_of, genres, target

ROOT = pathlib.Path(__file__).resolve().parents[1]


if TYPE_CHECKING:
    from components.trainer.callbacks import EpochRecord

HEAD_EPOCHS, HEAD_PATIENCE = 60, 10


def halves() -> tuple[mels.Tracks, list[npt.NDArray[np.bool_]]]:
    """The target genres' tracks, and the two halves of those that no test has."""
    every = mels.load_tracks(mels.folder())
    names = genres(mels.folder(), source=False)
    of_target = np.isin([every.genres[label] for label in every.labels], names)
    reported = mels.fold_of(every, 0)[of_target] < TEST_FOLDS
    tracks, chosen = target()
    free = ~(reported | chosen["test"])
    half = mels.fold_of(tracks, 2) % 2
    return tracks, [free & (half == side) for side in (0, 1)]


def measure(width: int, file: pathlib.Path, side: int, fine_tune_epochs: int) -> str:
    """The table's row of a width."""
    from components.models import vgg16
    from components.models.settings import ModelSettings
    from components.trainer.settings import TrainingSettings

    vgg16.HEAD_UNITS = width
    tracks, parts = halves()
    training = TrainingSettings(
        epochs=HEAD_EPOCHS, patience=HEAD_PATIENCE, fine_tune_epochs=fine_tune_epochs
    )
    rights: list[npt.NDArray[np.bool_]] = []
    phases: dict[str, list[EpochRecord]] = {"head": [], "fine_tune": []}
    seconds: list[float] = []
    for train, validation in (parts, parts[::-1]):
        network, history, _ = mels.fit(
            "vgg16",
            {
                "train": mels.clips_of(tracks, train),
                "validation": mels.clips_of(tracks, validation),
            },
            genres=len(tracks.genres),
            model=ModelSettings(image_size=side, weights=str(file)),
            training=training,
        )
        labels = tracks.labels[validation]
        rights.append(mels.predicted(network, mels.clips_of(tracks, validation)) == labels)
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
    cells.append(mels.shown(*mels.interval(right, groups)))
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--widths", nargs="*", type=int, default=[2048, 512, 256])
    parser.add_argument("--fine-tune-epochs", type=int, default=2)
    parser.add_argument("--pretraining", type=float, default=600.0, help="processor seconds")
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--keep", type=pathlib.Path, default=pathlib.Path("benchmark-bases"))
    arguments = parser.parse_args()
    side = arguments.image_size
    file = base_of("vgg16", arguments.keep, side=side, budget=arguments.pretraining)
    print("| width | weights | s an epoch | phase 1 | loss | phase 2 | loss | tracks right |")
    print("|---|---|---|---|---|---|---|---|")
    for width in arguments.widths:
        print(measure(width, file, side, arguments.fine_tune_epochs), flush=True)


if __name__ == "__main__":
    main()
