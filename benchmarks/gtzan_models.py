"""The models that gtzan_mels.py compares, each trained on one of its splits."""

from __future__ import annotations

import argparse
import dataclasses
import json
import pathlib
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.mels import OFFSETS, Floats, Tracks, clips_of, fit

ROOT = pathlib.Path(__file__).resolve().parents[1]


SVM = "SVM on band means and deviations"
Mask = npt.NDArray[np.bool_]


@dataclasses.dataclass(frozen=True)
class Split:
    """Which tracks train, validate and test, and the seed of what is trained on it."""

    number: int
    train: Mask
    validation: Mask
    test: Mask


@dataclasses.dataclass(frozen=True)
class Answers:
    """What a model said of a split: probabilities float32 `[clips, genres]`, four clips a
    track in the tracks' order. `seconds`: of the processor, for training. Of a network also
    `parameters`, `epochs`, and the kept epoch with its validation `loss`."""

    validation: Floats
    test: Floats
    seconds: float
    parameters: int | None = None
    epochs: int | None = None
    best_epoch: int | None = None
    loss: float | None = None

    def save(self, file: pathlib.Path, settings: str) -> None:
        """Keeps them, with the settings that they depend on: plain arrays and JSON."""
        rest = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name not in ("validation", "test")
        }
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_name(f".{file.name}")
        with partial.open("wb") as out:
            np.savez(
                out,
                validation=self.validation,
                test=self.test,
                settings=np.array(settings),
                rest=np.array(json.dumps(rest)),
            )
        partial.replace(file)

    @classmethod
    def load(cls, file: pathlib.Path, settings: str) -> Answers | None:
        """What was saved with the same settings; None without it."""
        if not file.exists():
            return None
        with np.load(file, allow_pickle=False) as kept:
            if str(kept["settings"]) != settings:
                return None
            rest = json.loads(str(kept["rest"]))
            return cls(validation=kept["validation"], test=kept["test"], **rest)


def svm(tracks: Tracks, split: Split) -> Answers:
    """Chooses its C on the validation tracks. Its answers are sure: one genre a track."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    # Standardised: on decibels below the peak it gets 0.04 to 0.08 less.
    features = np.concatenate([tracks.standard.mean(axis=2), tracks.standard.std(axis=2)], axis=1)
    labels, train, validation = tracks.labels, split.train, split.validation
    begun = time.process_time()
    models = []
    for c in (0.3, 1.0, 3.0, 10.0, 30.0):
        model = make_pipeline(StandardScaler(), SVC(C=c)).fit(features[train], labels[train])
        models.append((model.score(features[validation], labels[validation]), -c, model))
    best = max(models, key=lambda found: found[:2])[2]
    seconds = time.process_time() - begun

    def answers(chosen: Mask) -> Floats:
        if not chosen.any():
            return np.empty((0, len(tracks.genres)), np.float32)
        sure = np.eye(len(tracks.genres), dtype=np.float32)[best.predict(features[chosen])]
        return np.repeat(sure, len(OFFSETS), axis=0)

    return Answers(answers(validation), answers(split.test), seconds)


def baselines(tracks: Tracks, split: Split) -> Iterator[tuple[str, Answers]]:
    """The project's classical models with their default settings, on 15 components."""
    from components.audio.spectrogram.stored import from_stored
    from components.baselines import train
    from components.baselines.features import transform
    from components.baselines.models import fit_model, probabilities
    from components.baselines.settings import BASELINES, BaselineSettings

    def pictures(chosen: Mask) -> tuple[Any, npt.NDArray[np.int64]]:
        clips = clips_of(tracks, chosen)
        return train.array_blocks(from_stored(clips.inputs)), clips.labels

    blocks, labels = pictures(split.train)
    settings = BaselineSettings(seed=split.number, jobs=1)
    nothing = dataclasses.replace(settings, models=())
    fitted = train.fit(blocks, labels, tracks.genres, nothing)
    learned, validation, test = (
        transform(fitted.features, pictures(chosen)[0]())
        for chosen in (split.train, split.validation, split.test)
    )
    for name in BASELINES:
        begun = time.process_time()
        model = fit_model(name, learned, labels, len(tracks.genres), settings)
        seconds = time.process_time() - begun
        yield (
            name,
            Answers(
                probabilities(model, validation, len(tracks.genres)),
                probabilities(model, test, len(tracks.genres)),
                seconds,
            ),
        )


def settings_of(arguments: argparse.Namespace) -> str:
    """What a network's answers depend on beside its name, the split and the code."""
    names = ("budget", "image_size", "training", "model", "augmentation", "choose")
    return json.dumps({name: getattr(arguments, name) for name in names}, sort_keys=True)


def network(name: str, tracks: Tracks, split: Split, arguments: argparse.Namespace) -> Answers:
    """Trains a network; or takes what `arguments.save` holds of that very training."""
    from components.audio.spectrogram.stored import from_stored
    from components.models import architectures
    from components.models.settings import ModelSettings
    from components.trainer.settings import AugmentationSettings, TrainingSettings

    settings = settings_of(arguments)
    file = arguments.save and arguments.save / f"{name}-{split.number}.npz"
    if file and (kept := Answers.load(file, settings)):
        return kept
    sized = architectures.NETWORKS[name].smallest_side_pixels
    clips = {
        part: clips_of(tracks, chosen)
        for part, chosen in (
            ("train", split.train),
            ("validation", split.validation),
            ("test", split.test),
        )
    }
    made, history, seconds = fit(
        name,
        clips,
        genres=len(tracks.genres),
        model=ModelSettings(image_size=arguments.image_size if sized else 0, **arguments.model),
        training=TrainingSettings(
            seed=split.number,
            augmentation=AugmentationSettings(**arguments.augmentation),
            **arguments.training,
        ),
        budget=arguments.budget,
    )
    if arguments.verbose:
        for record in history.epochs:
            print(
                f"  {record.epoch:3d} {record.loss:.3f} {record.accuracy:.3f} "
                f"{record.val_loss:.3f} {record.val_accuracy:.3f}",
                file=sys.stderr,
            )

    def answers(part: str) -> Floats:
        inputs = from_stored(clips[part].inputs)
        if not len(inputs):
            return np.empty((0, len(tracks.genres)), np.float32)
        return np.asarray(made.model.predict(inputs, batch_size=32, verbose=0), np.float32)

    found = Answers(
        answers("validation"),
        answers("test"),
        seconds,
        made.parameters,
        len(history.epochs),
        history.phases[0].best_epoch,
        history.phases[0].best_val_loss,
    )
    if file:
        found.save(file, settings)
    return found


def ensembles(
    networks: dict[str, Answers], classical: dict[str, Answers], labels: npt.NDArray[np.int64]
) -> Iterator[tuple[str, Answers]]:
    """Averages of the single models; `labels` are those of the validation tracks, which
    choose the weights of the weighted one."""
    from components.ensemble.averages import average, likeliest_weights
    from components.ensemble.members import WEIGHTED, members_of

    every = networks | classical
    for name, members in members_of(list(networks), list(classical)).items():
        weights = None
        if name == WEIGHTED:
            found = likeliest_weights(
                {member: track_means(every[member].validation) for member in members}, labels
            )
            weights = [found[member] for member in members]
        yield (
            name,
            Answers(
                average([every[member].validation for member in members], weights),
                average([every[member].test for member in members], weights),
                sum(every[member].seconds for member in members),
            ),
        )


def track_means(probabilities: Floats) -> Floats:
    """`[clips, genres]` to `[tracks, genres]`."""
    return probabilities.reshape(-1, len(OFFSETS), probabilities.shape[1]).mean(axis=1)
