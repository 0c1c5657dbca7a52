"""Every model on 55 real recordings, from the audio on: how many of them each gets right.

    GENREFLOW_DATA=... taskset -c 0 python -m benchmarks.gtzan_audio [--save FOLDER]

GENREFLOW_DATA/gtzan: ten genres, 5 or 6 recordings each, too few to learn genres from, and
enough to see that a training learns at all; guessing gets 5.5 right. Five folds by recording,
stratified by genre: each recording is tested once, by models that were trained on three
folds. On the fourth the networks chose their epoch and the weighted ensemble its weights.
The audio stage cuts the clips; a recording's probabilities are the mean of its clips'.
Everything else is what configs/gtzan.toml says, and nothing was tuned on these recordings.

Intervals are the gate's, 95 %, by recording; "minus random_forest" is the paired difference
to the reference study's recipe, a random forest on 15 principal components. Below the table:
what the gate says of the candidate of the first split, which is what a single run would be.

"--save FOLDER" keeps what each network says of each clip, and takes it from there when the
program is run again.
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

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.gtzan_models import Answers
from benchmarks.mels import shown
from components.audio.decoding.decoder import InProcessDecoder
from components.audio.params import AudioParams
from components.audio.spectrogram.mel import log_mel
from components.audio.spectrogram.stored import from_stored, to_stored
from components.baselines.train import array_blocks, fit
from components.ensemble.members import (
    NETWORKS,
    choose,
)
from components.ensemble.rows import CLIP_KEYS, make_ensembles
from components.gate.decide import decide
from components.gate.outcome import Decision
from components.gate.scores import read_scores
from components.models.settings import ModelSettings
from components.predictions import resampling
from components.predictions.interval import Interval
from components.predictions.rightness import right_by_track
from components.predictions.table import make_table
from pipeline.config import load as config_load
from pipeline.config.schema import Config

ROOT = pathlib.Path(__file__).resolve().parents[1]

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


FOLDS = 5
FOREST = "random_forest"

Mels = npt.NDArray[np.uint16]
Labels = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class Recordings:
    """`mels` is `[recordings, clips, n_mels, frames]` as examples hold them, in the order of
    the sorted names."""

    names: list[str]
    genres: list[str]
    mels: Mels
    labels: Labels
    fold: Labels

    def split(self, number: int) -> dict[str, Mask]:
        """Which recordings a split trains, validates and tests on."""
        test, validation = self.fold == number, self.fold == (number + 1) % FOLDS
        return {"train": ~(test | validation), "validation": validation, "test": test}

    def pictures(self, chosen: Mask) -> Floats:
        """The clips in decibels, `[clips, n_mels, frames]`."""
        return np.asarray(from_stored(np.concatenate(self.mels[chosen])), np.float32)

    def clip_labels(self, chosen: Mask) -> Labels:
        """Theirs, `[clips]`."""
        return np.repeat(self.labels[chosen], self.mels.shape[1])

    def rows(self, model: str, number: int, answers: Answers) -> pd.DataFrame:
        """The predictions table of one model in one split."""
        tables = []
        for split in ("validation", "test"):
            chosen = self.split(number)[split]
            names, clips = np.array(self.names)[chosen], self.mels.shape[1]
            keys = pd.DataFrame(
                {
                    "track_id": np.repeat(names, clips),
                    "artist_id": "",
                    "clip_index": np.tile(np.arange(clips), len(names)),
                    "label": self.clip_labels(chosen),
                }
            )
            tables.append(make_table(model, split, keys, getattr(answers, split), self.genres))
        return pd.concat(tables, ignore_index=True)


def read(folder: pathlib.Path, audio: AudioParams) -> Recordings:
    """Cuts the clips of all recordings of a folder and its manifest.csv."""
    with (folder / "manifest.csv").open(newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["uri"])
    genres = sorted({row["genre"] for row in rows})
    decoder = InProcessDecoder()
    mels = []
    for row in rows:
        uri = row["uri"]
        clips = decoder.read_clips(str(folder / uri), audio, track_id=uri, seed=0, strict=False)
        mels.append(to_stored(log_mel(clips.waveforms, audio)))
    labels = np.array([genres.index(row["genre"]) for row in rows])
    return Recordings([row["uri"] for row in rows], genres, np.stack(mels), labels, folds(labels))


def folds(labels: Labels) -> Labels:
    """A number for each recording; the recordings of a genre go to the folds in turn."""
    fold = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        found = np.random.default_rng(label).permutation(np.flatnonzero(labels == label))
        fold[found] = (np.arange(len(found)) + label) % FOLDS
    return fold


def network(
    name: str,
    recordings: Recordings,
    number: int,
    config: Config,
    image_size: int,
    save: pathlib.Path | None,
) -> Answers:
    """Trains a network on a split; or takes what `save` holds of that very training."""
    from components.models import architectures, registry
    from components.trainer.batches import Clips
    from components.trainer.resolved import resolve
    from components.trainer.training import train

    audio, training = config.audio, dataclasses.replace(config.training, seed=number)
    sized = architectures.NETWORKS[name].smallest_side_pixels
    model = ModelSettings(image_size=image_size if sized else 0)
    settings = settings_of(recordings, audio, image_size, config)
    file = save and save / f"{name}-{number}.npz"
    if file and (kept := Answers.load(file, settings)):
        return kept
    masks = recordings.split(number)
    clips, validation_clips = (
        Clips(np.concatenate(recordings.mels[masks[part]]), recordings.clip_labels(masks[part]))
        for part in ("train", "validation")
    )
    made = registry.build(
        name,
        model,
        n_mels=audio.n_mels,
        frames=audio.frames,
        genres=len(recordings.genres),
        seed=number,
    )
    begun = time.process_time()
    history = train(
        made, clips, validation_clips, resolve(training, model, registry.defaults(name))
    )
    seconds = time.process_time() - begun
    validation, test = (
        np.asarray(
            made.model.predict(recordings.pictures(masks[part]), batch_size=32, verbose=0),
            np.float32,
        )
        for part in ("validation", "test")
    )
    phase = history.phases[0]
    found = Answers(
        validation,
        test,
        seconds,
        made.parameters,
        len(history.epochs),
        phase.best_epoch,
        phase.best_val_loss,
    )
    if file:
        found.save(file, settings)
    return found


def settings_of(recordings: Recordings, audio: AudioParams, image_size: int, config: Config) -> str:
    """What a network's answers depend on beside its name, the split and the code."""
    values = {
        "recordings": recordings.names,
        "audio": dataclasses.asdict(audio),
        "image_size": image_size,
        "training": dataclasses.asdict(config.training),
    }
    return json.dumps(values, sort_keys=True)


def baselines(recordings: Recordings, number: int, config: Config) -> dict[str, Answers]:
    """The classical models of the configuration."""
    masks = recordings.split(number)
    fitted = fit(
        array_blocks(recordings.pictures(masks["train"])),
        recordings.clip_labels(masks["train"]),
        recordings.genres,
        dataclasses.replace(config.baselines, seed=number, jobs=1),
    )
    validation, test = (
        fitted.transform([recordings.pictures(masks[part])]) for part in ("validation", "test")
    )
    return {
        name: Answers(
            fitted.predict_proba(name, validation),
            fitted.predict_proba(name, test),
            fitted.train_seconds[name],
        )
        for name in fitted.models
    }


def judged(
    rows: pd.DataFrame,
    recordings: Recordings,
    networks: dict[str, Answers],
    classical: dict[str, Answers],
    config: Config,
) -> tuple[str, Decision]:
    """The candidate of a split, and what the gate says of it: as a run would have it."""
    validation = rows[rows["split"] == "validation"]
    accuracy = {
        str(name): float(right_by_track(found, recordings.genres)["right"].mean())
        for name, found in validation.groupby("model")
    }
    parameters: dict[str, int | None] = {name: found.parameters for name, found in networks.items()}
    if NETWORKS in accuracy:
        parameters[NETWORKS] = sum(found.parameters or 0 for found in networks.values())
    candidate = choose({name: accuracy[name] for name in parameters}, parameters)
    best_baseline = choose({name: accuracy[name] for name in classical}, dict.fromkeys(classical))
    clips = rows[(rows["split"] == "test") & (rows["model"] == candidate)]
    every = sorted(set(rows["model"]))
    decision = decide(
        config.gate,
        recordings.genres,
        read_scores(rows, clips[CLIP_KEYS], recordings.genres, every),
        candidate,
        best_baseline=best_baseline,
        against_serving=None,
        audio_hashes={"candidate": config.audio.digest(), "examples": config.audio.digest()},
        candidate_digest="",
        serving_digest=None,
        serving_version="",
    )
    return candidate, decision


def row(
    name: str, rights: dict[str, npt.NDArray[np.float64]], groups: Labels, notes: list[str]
) -> str:
    """A model's line of the table; `rights` are by recording."""
    right = rights[name]
    cells = [name, f"{right.sum():.4g}", cell(resampling.share(right, groups)), ""]
    if name != FOREST:
        cells[3] = cell(resampling.paired_difference(right, rights[FOREST], groups))
    return f"| {' | '.join([*cells, *notes])} |"


def cell(found: Interval) -> str:
    """As the tables have it."""
    return shown(found.value, found.low, found.high)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--networks", nargs="*", default=["ffnn", "cnn_small", "crnn"])
    parser.add_argument("--clips", type=int, default=8, help="of each recording")
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--save", type=pathlib.Path, help="folder of the networks' answers")
    arguments = parser.parse_args()
    folder = pathlib.Path(os.environ.get("GENREFLOW_DATA", ""), "gtzan")
    if not (folder / "manifest.csv").is_file():
        sys.exit(f"{folder} has no manifest.csv: set GENREFLOW_DATA to the folder of real audio")
    config = config_load.load(config_load.shipped_config("gtzan"))
    audio = dataclasses.replace(config.audio, clips_per_track=arguments.clips)
    config = dataclasses.replace(config, audio=audio)
    recordings = read(folder, audio)
    tables, decisions, singles = [], [], []
    for number in range(FOLDS):
        classical = baselines(recordings, number, config)
        networks = {
            name: network(name, recordings, number, config, arguments.image_size, arguments.save)
            for name in arguments.networks
        }
        single = networks | classical
        rows = pd.concat(
            [recordings.rows(name, number, answers) for name, answers in single.items()],
            ignore_index=True,
        )
        ensembles = make_ensembles(rows, recordings.genres, list(networks), list(classical))
        rows = pd.concat([rows, ensembles.rows], ignore_index=True)
        decisions.append(judged(rows, recordings, networks, classical, config))
        tables.append(rows[rows["split"] == "test"])
        singles.append(single)
        print(f"split {number + 1} of {FOLDS} is done", file=sys.stderr)
    tested = pd.concat(tables, ignore_index=True)
    rights = {
        str(name): right_by_track(found, recordings.genres)["right"].to_numpy()
        for name, found in tested.groupby("model", sort=False)
    }
    groups = resampling.groups_of([""] * len(recordings.names), recordings.names)
    print(
        f"{len(recordings.names)} recordings, {arguments.clips} clips each; guessing: "
        f"{len(recordings.names) / len(recordings.genres)}"
    )
    print("| model | right | share | minus random_forest | training of all five, s | epochs |")
    print("|---|---|---|---|---|---|")
    for name in rights:
        notes = ["", ""]
        if name in arguments.networks:
            found = [single[name] for single in singles]
            notes[0] = f"{sum(answers.seconds for answers in found):.0f}"
            notes[1] = ", ".join(str(answers.epochs) for answers in found)
        print(row(name, rights, groups, notes))
    print_decisions(decisions)


def print_decisions(decisions: list[tuple[str, Decision]]) -> None:
    blessed = sum(decision.blessed for _, decision in decisions)
    candidate, first = decisions[0]
    print(f"\nThe gate blesses {blessed} of {len(decisions)} splits' candidates. The first:")
    print(f"candidate {candidate}: {'blessed' if first.blessed else 'not blessed'}")
    for rule in first.rules:
        print(f"  {rule.outcome} {rule.id}: {rule.text}")
    for candidate, decision in decisions[1:]:
        failed = ", ".join(rule.id for rule in decision.rules if rule.outcome == "fail")
        print(f"{candidate}: {f'refused by {failed}' if failed else 'blessed'}")


if __name__ == "__main__":
    main()
