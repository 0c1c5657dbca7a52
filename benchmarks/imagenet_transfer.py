"""EfficientNet-Lite0 on 55 real recordings: ImageNet's weights, frozen and fine-tuned, and random.

    GENREFLOW_DATA=... python -m benchmarks.imagenet_transfer [--save FOLDER]

The protocol is that of benchmarks.gtzan_audio: five folds by recording, three for training, one
to choose the epoch, one for testing; eight clips a recording; everything else as in
configs/gtzan.toml. The picture was chosen by benchmarks.imagenet_pictures on other tracks. The
weights are GENREFLOW_DATA/efficientnet_lite0's. The logistic regression on the frozen base's
features, standardised, chooses its C on the validation fold.

Intervals are those of the gate, 95 %, by recording. "minus crnn" is the paired difference to crnn,
which is trained from random weights. Times are processor seconds of all five folds.

"--save FOLDER" keeps each training's predictions, and a rerun reads them from there.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import sys
import time

import numpy as np
import numpy.typing as npt

from benchmarks import gtzan_audio
from benchmarks.imagenet_pictures import published_weights
from benchmarks.shared import command
from benchmarks.shared.gtzan_models import ModelResult
from benchmarks.shared.recordings import FOLDS, assign_folds, read_recordings
from components.models.settings import ModelSettings
from components.predictions import resampling
from pipeline.config import load as config_load

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

REFERENCE, NETWORK = "crnn", "efficientnet_lite0"
FROM_RANDOM = "whole, from random weights"
PENALTIES = (0.0003, 0.003, 0.03, 0.3)  # inverse strengths C


@dataclasses.dataclass(frozen=True)
class Training:
    """A row of the table: a network, its settings, and what is trained."""

    trained: str
    network: str
    model: ModelSettings

    @property
    def label(self) -> str:
        """Name of the training in files."""
        return f"{self.network}-{self.trained}-{self.model.image_size}".replace(" ", "_")

    @property
    def cells(self) -> str:
        """The first cells of its row."""
        side = self.model.image_size
        size = f"{side} x {side}" if side else "128 x 87"
        return f"{self.network} | {self.trained} | {size}"


def trainings(sizes: list[int], random_sizes: list[int]) -> list[Training]:
    """Return the rows: crnn, and the head alone, then the base, and random weights by size."""
    random = ModelSettings(image_size=0)
    rows = [Training(FROM_RANDOM, REFERENCE, random)]
    for size in sizes:
        imagenet = ModelSettings(image_size=size, weights=str(published_weights()))
        head = dataclasses.replace(imagenet, fine_tune_epochs=0)
        rows.append(Training("head on the frozen base", NETWORK, head))
        rows.append(Training("head, then the base", NETWORK, imagenet))
    for size in random_sizes:
        rows.append(Training(FROM_RANDOM, NETWORK, dataclasses.replace(random, image_size=size)))
    return rows


def fit_regression(
    folds: gtzan_audio.Folds, number: int, features: npt.NDArray[np.float32]
) -> ModelResult:
    """Fit a logistic regression on a split's features, with C chosen on its validation fold."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    begun = time.process_time()
    masks = folds.split(number)
    labels = {part: folds.clip_labels(mask) for part, mask in masks.items()}
    clips = {part: np.concatenate(features[mask]) for part, mask in masks.items()}
    fitted = []
    for penalty in PENALTIES:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=penalty, max_iter=500))
        model.fit(clips["train"], labels["train"])
        right = model.predict_log_proba(clips["validation"])
        fitted.append((right[np.arange(len(right)), labels["validation"]].mean(), -penalty, model))
    best = max(fitted, key=lambda found: found[:2])[2]
    validation, test = (
        np.asarray(best.predict_proba(clips[part]), np.float32) for part in ("validation", "test")
    )
    return ModelResult(validation, test, time.process_time() - begun)


def base_features(folds: gtzan_audio.Folds, image_size: int) -> npt.NDArray[np.float32]:
    """Return the frozen base's features of all recordings, `[recordings, clips, 1280]`."""
    from components.models import registry

    mels = folds.recordings.mels
    settings = ModelSettings(image_size=image_size, weights=str(published_weights()))
    network = registry.build(
        NETWORK, settings, n_mels=mels.shape[2], frames=mels.shape[3], genres=2, seed=0
    )
    assert network.base is not None
    mel_db = folds.mel_db(np.ones(len(mels), bool))
    found = network.base.predict(mel_db, batch_size=32, verbose=0)
    return np.asarray(found.reshape(*mels.shape[:2], -1), np.float32)


def main() -> None:
    parser = command.parser(__file__, __doc__)
    parser.add_argument("--clips", type=int, default=8, help="clips a recording")
    parser.add_argument(
        "--image-sizes",
        type=int,
        nargs="+",
        default=[224, 0],
        help="pixels; 0 keeps 128 x 87",
    )
    parser.add_argument(
        "--random-sizes",
        type=int,
        nargs="*",
        default=[0],
        help="the same for random weights",
    )
    parser.add_argument("--save", type=pathlib.Path, help="folder for the networks' predictions")
    arguments = parser.parse_args()
    folder = command.data_folder("gtzan", file="manifest.csv")
    config = config_load.load(config_load.shipped_config("gtzan"))
    audio = dataclasses.replace(config.audio, clips_per_track=arguments.clips)
    config = dataclasses.replace(config, audio=audio)
    recordings = read_recordings(folder, audio, 0)
    folds = gtzan_audio.Folds(recordings, assign_folds(recordings.labels))
    found: dict[Training, list[ModelResult]] = {}
    for size in arguments.image_sizes:
        regression = Training(
            "logistic regression on its features", NETWORK, ModelSettings(image_size=size)
        )
        features = base_features(folds, size)
        found[regression] = [fit_regression(folds, number, features) for number in range(FOLDS)]
    for training in trainings(arguments.image_sizes, arguments.random_sizes):
        found[training] = []
        for number in range(FOLDS):
            result = gtzan_audio.train_network(
                training.network,
                folds,
                number,
                config,
                training.model,
                arguments.save,
                label=training.label,
            )
            found[training].append(result)
            print(f"{training.label}: fold {number + 1} of {FOLDS}", file=sys.stderr)
    print_table(folds, found)


def print_table(folds: gtzan_audio.Folds, found: dict[Training, list[ModelResult]]) -> None:
    rights = {training.cells: by_recording(folds, results) for training, results in found.items()}
    groups = np.arange(len(folds.fold))
    reference = next(made.cells for made in found if made.network == REFERENCE)
    random = [made.cells for made in found if made.trained == FROM_RANDOM]
    print("| network | trained | picture | right | share | minus crnn | training, s | epochs |")
    print("|---|---|---|---|---|---|---|---|")
    for training, results in found.items():
        notes = [f"{sum(result.seconds for result in results):.0f}", ""]
        if results[0].epochs:
            notes[1] = ", ".join(str(result.epochs) for result in results)
        print(gtzan_audio.row(training.cells, rights, groups, notes, reference=reference))
    for training in found:
        for other in random:
            if training.trained != FROM_RANDOM and other != reference:
                difference = resampling.paired_difference(
                    rights[training.cells], rights[other], groups
                )
                print(f"{training.cells} minus {other}: {gtzan_audio.cell(difference)}")


def by_recording(folds: gtzan_audio.Folds, results: list[ModelResult]) -> npt.NDArray[np.float64]:
    """Return 1 for each recording that the mean of its clips names right, or 0."""
    right = np.zeros(len(folds.fold))
    for number, result in enumerate(results):
        test = folds.split(number)["test"]
        means = result.test.reshape(int(test.sum()), -1, len(folds.genres)).mean(axis=1)
        right[test] = means.argmax(axis=1) == folds.recordings.labels[test]
    return right


if __name__ == "__main__":
    main()
