"""What a split by clip does to the numbers: classical models on 55 recordings, both ways.

    GENREFLOW_DATA=... taskset -c 0 python -m benchmarks.leak [--clips 4] [--seeds 10]

GENREFLOW_DATA/gtzan: ten genres, 5 or 6 recordings each, the same clips in both protocols:
the audio stage cuts 2-second clips as the pipeline does. Five folds, stratified by genre, once
by clip (a recording's other clips may lie in training) and once by recording; every clip is
tested once in each protocol, by models of the [baselines] defaults that were fitted, principal
components included, on the other four folds. So both train on as many clips, and what is counted
is the same: the clips that are right. Each seed cuts other clips, deals other folds and seeds the
models.

Intervals are 95 % bootstraps of whole recordings (their clips and their seeds together); the
difference is paired. Guessing gets 0.10.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import os
import pathlib
import sys

import numpy as np
import numpy.typing as npt

from benchmarks.mels import interval, shown
from components.audio.decoding.decoder import InProcessDecoder
from components.audio.params import AudioParams
from components.audio.spectrogram.mel import log_mel
from components.audio.spectrogram.stored import from_stored, to_stored
from components.baselines.settings import BASELINES, BaselineSettings
from components.baselines.train import array_blocks, fit

ROOT = pathlib.Path(__file__).resolve().parents[1]

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


FOLDS = 5

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


def read(
    folder: pathlib.Path, audio: AudioParams, seed: int
) -> tuple[Floats, Labels, tuple[str, ...]]:
    """mel_db in dB as examples hold it, `[recordings, clips, n_mels, frames]`; the recordings'
    labels; the genres."""
    with (folder / "manifest.csv").open(newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["uri"])
    genres = tuple(sorted({row["genre"] for row in rows}))
    decoder = InProcessDecoder()
    mels = []
    for row in rows:
        uri = row["uri"]
        clips = decoder.read_clips(str(folder / uri), audio, track_id=uri, seed=seed, strict=False)
        mels.append(from_stored(to_stored(log_mel(clips.waveforms, audio))))
    return np.stack(mels), np.array([genres.index(row["genre"]) for row in rows]), genres


def dealt(labels: Labels, rng: np.random.Generator) -> Labels:
    """A fold for each; those of a genre go to the folds in turn, in an order that is drawn."""
    fold = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        found = rng.permutation(np.flatnonzero(labels == label))
        fold[found] = (np.arange(len(found)) + label) % FOLDS
    return fold


def tested(
    mel_db: Floats, labels: Labels, fold: Labels, genres: tuple[str, ...], seed: int
) -> dict[str, npt.NDArray[np.bool_]]:
    """For each model which clips are right, bool `[clips]`, each tested in its own fold."""
    right: dict[str, npt.NDArray[np.bool_]] = {}
    right |= {name: np.zeros(len(labels), bool) for name in BASELINES}
    settings = BaselineSettings(seed=seed, jobs=1)
    for number in range(FOLDS):
        test = fold == number
        fitted = fit(array_blocks(mel_db[~test]), labels[~test], genres, settings)
        features = fitted.transform(array_blocks(mel_db[test])())
        for name in BASELINES:
            answers = fitted.predict_proba(name, features)
            right[name][test] = answers.argmax(axis=1) == labels[test]
    return right


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=4, help="of each recording")
    parser.add_argument("--seeds", type=int, default=10)
    arguments = parser.parse_args()
    folder = pathlib.Path(os.environ.get("GENREFLOW_DATA", ""), "gtzan")
    if not (folder / "manifest.csv").is_file():
        sys.exit(f"{folder} has no manifest.csv: set GENREFLOW_DATA to the folder of real audio")
    audio = dataclasses.replace(AudioParams(), clips_per_track=arguments.clips)
    by_clip: dict[str, list[Floats]] = {name: [] for name in BASELINES}
    by_track: dict[str, list[Floats]] = {name: [] for name in BASELINES}
    for seed in range(arguments.seeds):
        mels, recordings, genres = read(folder, audio, seed)
        clips, labels = np.concatenate(mels), np.repeat(recordings, arguments.clips)
        rng = np.random.default_rng(seed)
        folds = (dealt(labels, rng), np.repeat(dealt(recordings, rng), arguments.clips))
        for found, fold in zip((by_clip, by_track), folds, strict=True):
            for name, right in tested(clips, labels, fold, genres, seed).items():
                shares = right.reshape(-1, arguments.clips).mean(axis=1)
                found[name].append(shares.astype(np.float32))
        print(f"seed {seed} done", file=sys.stderr, flush=True)
    groups = np.arange(len(recordings))
    print(
        f"{len(groups)} recordings, {arguments.clips} clips each, {arguments.seeds} seeds; clips "
        "that are right\n"
    )
    print("| model | by clip | by recording | difference: the leak |")
    print("|---|---|---|---|")
    for name in BASELINES:
        one, other = (np.mean(found[name], axis=0) for found in (by_clip, by_track))
        cells = [shown(*interval(part, groups)) for part in (one, other, one - other)]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
