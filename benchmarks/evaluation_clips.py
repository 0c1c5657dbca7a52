"""Judging models by a few random clips of a song or by the windows that they will answer with.

    GENREFLOW_DATA=... python -m benchmarks.evaluation_clips accuracy [--networks cnn_small crnn]
    GENREFLOW_DATA=... python -m benchmarks.evaluation_clips cost

"accuracy" takes the 55 recordings and the five folds of benchmarks.gtzan_audio, with
configs/gtzan.toml's settings and 4 random training clips a recording. Each network is trained
twice, with its best epoch chosen on 4 random clips or on all windows of the validation recordings;
the classical models are fitted once. The same models are then judged by random clips of 20 clip
seeds, by evenly spaced windows, and by all windows:

- right: recordings named right, of 20 seeds the mean, with the lowest and the highest
- half width: half of the gate's 95 % interval of the accuracy
- as served: recordings with the same answer as by all windows
- validation loss: of the best epoch, the mean over the folds

"cost" measures processor time and stored bytes of one track: decoding and spectrograms, in this
process, for an FMA mp3 of 30 s and synthetic stereo mp3s of 5 minutes and an hour. The peak of
memory is that of a process that does nothing else.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import soundfile

from benchmarks.shared import command
from benchmarks.shared.recordings import FOLDS, assign_folds, read_recordings
from components.audio.clips import ClipChoice
from components.audio.decoding.decoder import InProcessDecoder
from components.audio.params import AudioParams
from components.audio.spectrogram.mel import log_mel
from components.audio.spectrogram.stored import from_stored, to_stored
from components.baselines.settings import BaselineName
from components.baselines.train import array_blocks, fit
from components.datasets.track import Track
from components.models.settings import ModelSettings
from components.predictions import resampling
from components.predictions.correctness import correctness
from components.spectrogram_gen import extract
from pipeline.config import load as config_load
from pipeline.config.schema import Config

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

CLASSICAL: tuple[BaselineName, ...] = ("random_forest", "svm")
SEEDS = range(1, 21)
EVERY = ClipChoice.of(AudioParams(evaluation_clips="all"), evaluates=True)
SPACED = (2, 4, 8)
COSTS = {
    "4 random clips": ClipChoice(4),
    "30 windows": ClipChoice(30, windows=True),
    "all windows": EVERY,
}
LENGTHS_S = (300, 3600)

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Mels = npt.NDArray[np.uint16]
Predict = Callable[[Mels], Floats]


@dataclasses.dataclass(frozen=True)
class Judged:
    """Spectrograms of each recording under one choice of clips, `[clips, n_mels, frames]` each."""

    mels: list[Mels]

    def of(self, chosen: npt.NDArray[np.bool_]) -> list[Mels]:
        return [mels for mels, one in zip(self.mels, chosen, strict=True) if one]


def read(folder: pathlib.Path, uris: list[str], choice: ClipChoice, seed: int = 0) -> Judged:
    """Read the clips of all recordings."""
    audio, decoder, mels = AudioParams(), InProcessDecoder(), []
    for uri in uris:
        clips = decoder.read_clips(folder / uri, audio, track_id=uri, seed=seed, choice=choice)
        mels.append(to_stored(log_mel(clips.waveforms, audio)))
    return Judged(mels)


def train_network(
    name: str,
    config: Config,
    seed: int,
    train: tuple[Mels, Labels],
    validation: tuple[Mels, Labels],
) -> tuple[Predict, float]:
    """Train a network; return its predictions and the validation loss of its best epoch."""
    from components.models import registry
    from components.trainer.batches import Clips
    from components.trainer.resolved import resolve
    from components.trainer.training import train as train_model

    audio, model = config.audio, ModelSettings()
    settings = dataclasses.replace(config.training, seed=seed)
    genres = int(train[1].max()) + 1
    network = registry.build(
        name, model, n_mels=audio.n_mels, frames=audio.frames, genres=genres, seed=seed
    )
    resolved = resolve(settings, model, registry.defaults(name))
    history = train_model(network, Clips(*train), Clips(*validation), resolved)

    def predict(mels: Mels) -> Floats:
        found = network.model.predict(from_stored(mels), batch_size=64, verbose=0)
        return np.asarray(found, np.float32)

    return predict, history.phases[0].best_val_loss


def train_classical(
    config: Config, seed: int, train: tuple[Mels, Labels], genres: list[str]
) -> dict[str, Predict]:
    """Fit the reference study's recipe and the SVM."""
    settings = dataclasses.replace(config.baselines, models=CLASSICAL, seed=seed, jobs=1)
    fitted = fit(array_blocks(from_stored(train[0])), train[1], genres, settings)

    def predict(name: BaselineName, mels: Mels) -> Floats:
        return fitted.predict_proba(name, fitted.transform([from_stored(mels)]))

    return {name: functools.partial(predict, name) for name in CLASSICAL}


def means(predict: Predict, recordings: Sequence[Mels]) -> Floats:
    """Return the mean probabilities of each recording, `[recordings, genres]`."""
    found = predict(np.concatenate(recordings))
    ends = np.cumsum([len(mels) for mels in recordings])[:-1]
    return np.stack([part.mean(axis=0) for part in np.split(found, ends)])


def joined(judged: Judged, chosen: npt.NDArray[np.bool_], labels: Labels) -> tuple[Mels, Labels]:
    """Return the clips of some recordings and their labels."""
    mels = judged.of(chosen)
    return np.concatenate(mels), np.repeat(labels[chosen], [len(one) for one in mels])


def accuracy(names: Sequence[str]) -> None:
    folder = command.data_folder("gtzan", file="manifest.csv")
    config = config_load.load(config_load.shipped_config("gtzan"))
    recordings = read_recordings(folder, config.audio, 0)
    labels, uris = recordings.labels, recordings.uris
    fold = assign_folds(labels)
    train_clips = Judged(list(recordings.mels))
    every = read(folder, uris, EVERY)
    ways = {
        "4 random clips": [read(folder, uris, ClipChoice(4), seed) for seed in SEEDS],
        **{f"{n} windows": [read(folder, uris, ClipChoice(n, windows=True))] for n in SPACED},
        "all windows": [every],
    }
    answers: dict[str, dict[str, list[Floats]]] = {}
    losses: dict[str, list[float]] = {}
    for number in range(FOLDS):
        test, validation = fold == number, fold == (number + 1) % FOLDS
        train = joined(train_clips, ~(test | validation), labels)
        models = train_classical(config, number, train, recordings.genres)
        for name in names:
            for judge, clips in (("4 random clips", train_clips), ("all windows", every)):
                model = f"{name}, validated on {judge}"
                models[model], loss = train_network(
                    name, config, number, train, joined(clips, validation, labels)
                )
                losses.setdefault(model, []).append(loss)
        for model, predict in models.items():
            for way, draws in ways.items():
                found = answers.setdefault(model, {}).setdefault(
                    way, [np.zeros((len(uris), len(recordings.genres)), np.float32) for _ in draws]
                )
                for into, judged in zip(found, draws, strict=True):
                    into[test] = means(predict, judged.of(test))
        print(f"split {number + 1} of {FOLDS} done", file=sys.stderr)
    groups = resampling.groups_of([""] * len(uris), uris)
    print(f"{len(uris)} recordings, {len(np.concatenate(every.mels))} windows")
    print("| model | validation loss | judged by | right | half width | as served |")
    print("|---|---|---|---|---|---|")
    for model, found_ways in answers.items():
        served = found_ways["all windows"][0].argmax(axis=1)
        for way, found in found_ways.items():
            rights = [correctness(one, labels) for one in found]
            sums = [right.sum() for right in rights]
            intervals = [resampling.share(right, groups) for right in rights]
            half = np.mean([(one.high - one.low) / 2 for one in intervals])
            spread = f" ({min(sums):.0f} to {max(sums):.0f})" if len(sums) > 1 else ""
            agreed = np.mean([(one.argmax(axis=1) == served).sum() for one in found])
            shown = f"{np.mean(losses[model]):.3f}" if model in losses else ""
            print(
                f"| {model} | {shown} | {way} | {np.mean(sums):.1f}{spread} | {half:.3f} "
                f"| {agreed:.1f} |"
            )


def cost() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        files = {"30 s": command.fma_files()[0]}
        rng = np.random.default_rng(0)
        for seconds in LENGTHS_S:
            path = pathlib.Path(temporary, f"{seconds}.mp3")
            with soundfile.SoundFile(path, "w", 44100, 2) as out:
                for _ in range(seconds // 10):
                    out.write(rng.normal(0, 0.1, (441_000, 2)).clip(-1, 1))
            files[f"{seconds // 60} min"] = path
        print("| recording | clips | number | stored, MB | processor, s | peak memory, MB |")
        print("|---|---|---|---|---|---|")
        for name, path in files.items():
            for what in COSTS:
                arguments = [sys.executable, "-m", "benchmarks.evaluation_clips", "one"]
                line = subprocess.run(
                    [*arguments, "--file", str(path), "--choice", what],
                    check=True, capture_output=True, text=True,
                ).stdout  # fmt: skip
                print(f"| {name} | {what} | {line.strip()} |", flush=True)


def one(path: pathlib.Path, what: str) -> None:
    """Print the figures of one file in one way; the time is the shortest of five."""
    track, params = Track("t", str(path), "Rock"), AudioParams()
    seconds = math.inf
    for _ in range(5):
        begun = time.process_time()
        made = extract.make_mels(extract.read_track(track, params, 0, choice=COSTS[what]), params)
        seconds = min(seconds, time.process_time() - begun)
    print(
        f"{len(made.mels)} | {made.mels.nbytes / 1e6:.2f} | {seconds:.3f} "
        f"| {command.peak_bytes() / 1e6:.0f}"
    )


def main() -> None:
    parser = command.parser(__file__, __doc__)
    parser.add_argument("part", choices=["accuracy", "cost", "one"])
    parser.add_argument("--networks", nargs="*", default=["cnn_small", "crnn"])
    parser.add_argument("--file", type=pathlib.Path, help="for one")
    parser.add_argument("--choice", choices=list(COSTS), help="for one")
    arguments = parser.parse_args()
    if arguments.part == "accuracy":
        accuracy(arguments.networks)
    elif arguments.part == "cost":
        cost()
    else:
        one(arguments.file, arguments.choice)


if __name__ == "__main__":
    main()
