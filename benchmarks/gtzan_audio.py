"""Networks on 55 real recordings, from the audio on: how many of them each gets right.

    GENREFLOW_DATA=... taskset -c 0 python benchmarks/gtzan_audio.py [--networks crnn]

GENREFLOW_DATA/gtzan: ten genres, 5 or 6 recordings each, too few to learn genres from, and
enough to see that a training learns at all; guessing gets 5.5 right. Five folds by recording,
stratified by genre: each recording is tested once, by a network that was trained on three
folds and chose its epoch on the fourth. The audio stage cuts the clips; a recording's
probabilities are the mean of its clips'. Everything else is what configs/gtzan.toml says, and
nothing was tuned on these recordings.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import os
import pathlib
import sys
import time

import numpy as np
import numpy.typing as npt

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from benchmarks.mels import interval, shown  # noqa: E402
from components.audio.decoder import InProcessDecoder  # noqa: E402
from components.audio.mel import log_mel  # noqa: E402
from components.audio.params import AudioParams  # noqa: E402
from components.audio.stored import from_stored, to_stored  # noqa: E402
from components.models import registry  # noqa: E402
from components.models.settings import ModelSettings  # noqa: E402
from components.trainer.batches import Clips  # noqa: E402
from components.trainer.settings import resolve  # noqa: E402
from components.trainer.training import train  # noqa: E402
from pipeline import config_load  # noqa: E402
from pipeline.config import Config  # noqa: E402

FOLDS = 5

Mels = npt.NDArray[np.uint16]
Labels = npt.NDArray[np.int64]


def read(folder: pathlib.Path, audio: AudioParams) -> tuple[Mels, Labels]:
    """`[recordings, clips, n_mels, frames]` as examples hold them, and `[recordings]`."""
    with (folder / "manifest.csv").open(newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["uri"])
    genres = sorted({row["genre"] for row in rows})
    decoder = InProcessDecoder()
    mels = []
    for row in rows:
        uri = row["uri"]
        clips = decoder.read_clips(str(folder / uri), audio, track_id=uri, seed=0, strict=False)
        mels.append(to_stored(log_mel(clips.waveforms, audio)))
    return np.stack(mels), np.array([genres.index(row["genre"]) for row in rows])


def folds(labels: Labels) -> Labels:
    """A number for each recording; the recordings of a genre go to the folds in turn."""
    fold = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        found = np.random.default_rng(label).permutation(np.flatnonzero(labels == label))
        fold[found] = (np.arange(len(found)) + label) % FOLDS
    return fold


def run(name: str, mels: Mels, labels: Labels, config: Config, image_size: int) -> str:
    """The network's row."""
    genres, audio, clips_per_track = int(labels.max()) + 1, config.audio, mels.shape[1]
    sized = registry.NETWORKS[name].smallest_side_pixels
    model = ModelSettings(image_size=image_size if sized else 0)
    fold = folds(labels)
    right, epochs, seconds = np.zeros(len(labels), np.float32), [], 0.0
    for number in range(FOLDS):
        test, validation = fold == number, fold == (number + 1) % FOLDS
        train_clips, validation_clips = (
            Clips(np.concatenate(mels[chosen]), np.repeat(labels[chosen], clips_per_track))
            for chosen in (~(test | validation), validation)
        )
        network = registry.build(
            name, model, n_mels=audio.n_mels, frames=audio.frames, genres=genres, seed=number
        )
        training = dataclasses.replace(config.training, seed=number)
        begun = time.process_time()
        history = train(
            network,
            train_clips,
            validation_clips,
            resolve(training, model, registry.defaults(name)),
        )
        seconds += time.process_time() - begun
        epochs.append(str(len(history.epochs)))
        inputs = from_stored(np.concatenate(mels[test]))
        probabilities = network.model.predict(inputs, batch_size=32, verbose=0)
        probabilities = probabilities.reshape(-1, clips_per_track, genres).mean(axis=1)
        right[test] = probabilities.argmax(axis=1) == labels[test]
    return (
        f"| {name} | {right.sum():.0f} | {shown(*interval(right, np.arange(len(right))))} | "
        f"{', '.join(epochs)} | {seconds:.0f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="*", default=["ffnn", "cnn_small", "crnn"])
    parser.add_argument("--clips", type=int, default=8, help="of each recording")
    parser.add_argument("--image-size", type=int, default=64)
    arguments = parser.parse_args()
    folder = pathlib.Path(os.environ.get("GENREFLOW_DATA", ""), "gtzan")
    if not (folder / "manifest.csv").is_file():
        sys.exit(f"{folder} has no manifest.csv: set GENREFLOW_DATA to the folder of real audio")
    config = config_load.load(config_load.shipped_config("gtzan"))
    audio = dataclasses.replace(config.audio, clips_per_track=arguments.clips)
    mels, labels = read(folder, audio)
    print(f"{len(labels)} recordings, {arguments.clips} clips each; guessing: {len(labels) / 10}")
    print("| network | right | of all | epochs | training, s |")
    print("|---|---|---|---|---|")
    for name in arguments.networks:
        print(run(name, mels, labels, config, arguments.image_size), flush=True)


if __name__ == "__main__":
    main()
