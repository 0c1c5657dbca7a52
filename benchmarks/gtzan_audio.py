"""Accuracy of every model on 55 real recordings, starting from the audio.

    GENREFLOW_DATA=... taskset -c 0 python -m benchmarks.gtzan_audio [--save FOLDER]

GENREFLOW_DATA/gtzan has ten genres with 5 or 6 recordings each. That is too few to learn genres
from, and enough to see whether a training learns at all. Guessing gets 5.5 right. There are five
folds by recording, stratified by genre. Each recording is tested once, by models trained on three
folds. The fourth chooses the networks' epoch and the weighted ensemble's weights. The audio stage
cuts the clips; a recording's probabilities are the mean of its clips'. Everything else is as in
configs/gtzan.toml, and nothing was tuned on these recordings.

Intervals are those of the gate, 95 %, by recording. "minus random_forest" is the paired difference
to the reference study's recipe, a random forest on 15 principal components. Below the table are
the gate's decisions on the splits' candidates, the first in full, as a single run would give it.

"--save FOLDER" keeps each network's predictions, and a rerun reads them from there.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import sys
import time

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.shared import command
from benchmarks.shared.gtzan_models import ModelResult
from benchmarks.shared.gtzan_tracks import format_interval
from benchmarks.shared.recordings import (
    FOLDS,
    Labels,
    Recordings,
    assign_folds,
    read_recordings,
)
from components.audio.params import AudioParams
from components.audio.spectrogram.stored import from_stored
from components.baselines.train import array_blocks, fit
from components.ensemble.members import (
    NETWORKS,
    choose,
)
from components.ensemble.rows import make_ensembles
from components.gate.decide import decide
from components.gate.outcome import Decision
from components.gate.scores import read_scores
from components.models.settings import ModelSettings
from components.predictions import resampling
from components.predictions.correctness import correctness_by_track
from components.predictions.interval import Interval
from components.predictions.table import CLIP_KEYS, make_table
from pipeline.config import load as config_load
from pipeline.config.schema import Config

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

FOREST = "random_forest"

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class Folds:
    """Recordings and the fold of each."""

    recordings: Recordings
    fold: Labels

    @property
    def genres(self) -> list[str]:
        return self.recordings.genres

    def split(self, number: int) -> dict[str, Mask]:
        """Return the recordings that a split trains, validates and tests on."""
        test, validation = self.fold == number, self.fold == (number + 1) % FOLDS
        return {"train": ~(test | validation), "validation": validation, "test": test}

    def mels(self, chosen: Mask) -> npt.NDArray[np.uint16]:
        """Return the clips of some recordings as stored, `[clips, n_mels, frames]`."""
        return np.concatenate(self.recordings.mels[chosen])

    def mel_db(self, chosen: Mask) -> Floats:
        """Return the clips of some recordings in decibels, `[clips, n_mels, frames]`."""
        return np.asarray(from_stored(self.mels(chosen)), np.float32)

    def clip_labels(self, chosen: Mask) -> Labels:
        """Return the labels of those clips, `[clips]`."""
        return np.repeat(self.recordings.labels[chosen], self.recordings.mels.shape[1])

    def predictions(self, model: str, number: int, result: ModelResult) -> pd.DataFrame:
        """Return the predictions table of one model in one split."""
        tables = []
        for split in ("validation", "test"):
            chosen = self.split(number)[split]
            names, clips = np.array(self.recordings.uris)[chosen], self.recordings.mels.shape[1]
            keys = pd.DataFrame(
                {
                    "track_id": np.repeat(names, clips),
                    "artist_id": "",
                    "clip_index": np.tile(np.arange(clips), len(names)),
                    "label": self.clip_labels(chosen),
                }
            )
            tables.append(make_table(model, split, keys, getattr(result, split), self.genres))
        return pd.concat(tables, ignore_index=True)


def train_network(
    name: str,
    folds: Folds,
    number: int,
    config: Config,
    model: ModelSettings,
    save: pathlib.Path | None,
    *,
    label: str = "",
) -> ModelResult:
    """Train a network on a split, or load the result of the same training from `save`.

    `label` is the name under which `save` keeps it; by default the network's.
    """
    from components.models import registry
    from components.trainer.batches import Clips
    from components.trainer.resolved import resolve
    from components.trainer.training import train

    audio, training = config.audio, dataclasses.replace(config.training, seed=number)
    settings = describe_training(folds.recordings, audio, model, config)
    file = save and save / f"{label or name}-{number}.npz"
    if file and (kept := ModelResult.load(file, settings)):
        return kept
    masks = folds.split(number)
    clips, validation_clips = (
        Clips(folds.mels(masks[part]), folds.clip_labels(masks[part]))
        for part in ("train", "validation")
    )
    made = registry.build(
        name,
        model,
        n_mels=audio.n_mels,
        frames=audio.frames,
        genres=len(folds.genres),
        seed=number,
    )
    begun = time.process_time()
    history = train(
        made, clips, validation_clips, resolve(training, model, registry.defaults(name))
    )
    seconds = time.process_time() - begun
    validation, test = (
        np.asarray(
            made.model.predict(folds.mel_db(masks[part]), batch_size=32, verbose=0),
            np.float32,
        )
        for part in ("validation", "test")
    )
    phase = history.phases[0]
    found = ModelResult(
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


def sized(name: str, image_size: int) -> ModelSettings:
    """Return a network's default settings, with the size of its picture if it has a base."""
    from components.models import architectures

    has_base = architectures.NETWORKS[name].has_base
    return ModelSettings(image_size=image_size if has_base else 0)


def describe_training(
    recordings: Recordings, audio: AudioParams, model: ModelSettings, config: Config
) -> str:
    """Return as JSON the inputs of a training other than network, split and code."""
    values = {
        "recordings": recordings.uris,
        "audio": dataclasses.asdict(audio),
        "model": dataclasses.asdict(model),
        "training": dataclasses.asdict(config.training),
    }
    return json.dumps(values, sort_keys=True)


def train_baselines(folds: Folds, number: int, config: Config) -> dict[str, ModelResult]:
    """Train the configuration's classical models on a split."""
    masks = folds.split(number)
    fitted = fit(
        array_blocks(folds.mel_db(masks["train"])),
        folds.clip_labels(masks["train"]),
        folds.genres,
        dataclasses.replace(config.baselines, seed=number, jobs=1),
    )
    validation, test = (
        fitted.transform([folds.mel_db(masks[part])]) for part in ("validation", "test")
    )
    return {
        name: ModelResult(
            fitted.predict_proba(name, validation),
            fitted.predict_proba(name, test),
            fitted.train_seconds[name],
        )
        for name in fitted.models
    }


def run_gate(
    rows: pd.DataFrame,
    genres: list[str],
    networks: dict[str, ModelResult],
    classical: dict[str, ModelResult],
    config: Config,
) -> tuple[str, Decision]:
    """Choose a split's candidate and decide on it, as a run does."""
    validation = rows[rows["split"] == "validation"]
    accuracy = {
        str(name): float(correctness_by_track(found, genres)["correctness"].mean())
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
        genres,
        read_scores(rows, clips[list(CLIP_KEYS)], genres, every),
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
    name: str,
    rights: dict[str, npt.NDArray[np.float64]],
    groups: Labels,
    notes: list[str],
    *,
    reference: str = FOREST,
) -> str:
    """Return a model's row of the table; `rights` holds 1 or 0 for each recording."""
    right = rights[name]
    cells = [name, f"{right.sum():.4g}", cell(resampling.share(right, groups)), ""]
    if name != reference:
        cells[3] = cell(resampling.paired_difference(right, rights[reference], groups))
    return f"| {' | '.join([*cells, *notes])} |"


def cell(found: Interval) -> str:
    return format_interval(found.value, found.low, found.high)


def main() -> None:
    parser = command.parser(__file__, __doc__)
    parser.add_argument("--networks", nargs="*", default=["ffnn", "cnn_small", "crnn"])
    parser.add_argument("--clips", type=int, default=8, help="clips a recording")
    parser.add_argument("--image-size", type=int, default=64, help="pixels")
    parser.add_argument("--save", type=pathlib.Path, help="folder for the networks' predictions")
    arguments = parser.parse_args()
    folder = command.data_folder("gtzan", file="manifest.csv")
    config = config_load.load(config_load.shipped_config("gtzan"))
    audio = dataclasses.replace(config.audio, clips_per_track=arguments.clips)
    config = dataclasses.replace(config, audio=audio)
    recordings = read_recordings(folder, audio, 0)
    folds = Folds(recordings, assign_folds(recordings.labels))
    tables, decisions, singles = [], [], []
    for number in range(FOLDS):
        classical = train_baselines(folds, number, config)
        networks = {
            name: train_network(
                name, folds, number, config, sized(name, arguments.image_size), arguments.save
            )
            for name in arguments.networks
        }
        single = networks | classical
        rows = pd.concat(
            [folds.predictions(name, number, result) for name, result in single.items()],
            ignore_index=True,
        )
        ensembles = make_ensembles(rows, folds.genres, list(networks), list(classical))
        rows = pd.concat([rows, ensembles.rows], ignore_index=True)
        decisions.append(run_gate(rows, folds.genres, networks, classical, config))
        tables.append(rows[rows["split"] == "test"])
        singles.append(single)
        print(f"split {number + 1} of {FOLDS} done", file=sys.stderr)
    tested = pd.concat(tables, ignore_index=True)
    rights = {
        str(name): correctness_by_track(found, recordings.genres)["correctness"].to_numpy()
        for name, found in tested.groupby("model", sort=False)
    }
    groups = resampling.groups_of([""] * len(recordings.uris), recordings.uris)
    print(
        f"{len(recordings.uris)} recordings, {arguments.clips} clips each; guessing: "
        f"{len(recordings.uris) / len(recordings.genres)}"
    )
    print("| model | right | share | minus random_forest | training, all splits, s | epochs |")
    print("|---|---|---|---|---|---|")
    for name in rights:
        notes = ["", ""]
        if name in arguments.networks:
            found = [single[name] for single in singles]
            notes[0] = f"{sum(result.seconds for result in found):.0f}"
            notes[1] = ", ".join(str(result.epochs) for result in found)
        print(row(name, rights, groups, notes))
    print_decisions(decisions)


def print_decisions(decisions: list[tuple[str, Decision]]) -> None:
    blessed = sum(decision.blessed for _, decision in decisions)
    candidate, first = decisions[0]
    print(f"\nThe gate blesses the candidates of {blessed} of {len(decisions)} splits.")
    print(f"Candidate of the first, {candidate}: {'blessed' if first.blessed else 'not blessed'}")
    for rule in first.rules:
        print(f"  {rule.outcome} {rule.id}: {rule.text}")
    for candidate, decision in decisions[1:]:
        failed = ", ".join(rule.id for rule in decision.rules if rule.outcome == "fail")
        print(f"{candidate}: {f'not blessed: {failed}' if failed else 'blessed'}")


if __name__ == "__main__":
    main()
