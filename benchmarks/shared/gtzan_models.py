"""Training of models on one split of GTZAN's spectrograms, and their results."""

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

from benchmarks.shared.gtzan_tracks import OFFSETS, Floats, Tracks, clips_of, fit

SVM = "SVM on band means and deviations"
Mask = npt.NDArray[np.bool_]


@dataclasses.dataclass(frozen=True)
class Split:
    """Tracks to train, validate and test on, bool `[tracks]`; `number` also seeds the models."""

    number: int
    train: Mask
    validation: Mask
    test: Mask


@dataclasses.dataclass(frozen=True)
class ModelResult:
    """Predictions of a model trained on a split, and figures of its training.

    Attributes:
      validation: probabilities of the validation clips, float32 `[clips, genres]`, the clips of a
        track together, in the tracks' order.
      test: those of the test clips.
      seconds: processor seconds of the training.
      parameters: of a network; this and the following are None for other models.
      epochs: number of epochs trained.
      best_epoch: the epoch whose weights were kept.
      loss: its validation loss.
    """

    validation: Floats
    test: Floats
    seconds: float
    parameters: int | None = None
    epochs: int | None = None
    best_epoch: int | None = None
    loss: float | None = None

    def save(self, file: pathlib.Path, settings: str) -> None:
        """Write the result and the settings that it depends on, as plain arrays and JSON."""
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
    def load(cls, file: pathlib.Path, settings: str) -> ModelResult | None:
        """Read a saved result; None if there is none with the same settings."""
        if not file.exists():
            return None
        with np.load(file, allow_pickle=False) as kept:
            if str(kept["settings"]) != settings:
                return None
            rest = json.loads(str(kept["rest"]))
            return cls(validation=kept["validation"], test=kept["test"], **rest)


def train_svm(tracks: Tracks, split: Split) -> ModelResult:
    """Train an SVM, with C chosen on the validation tracks. Probabilities are 0 or 1."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    # Standardised, as with decibels below the peak the accuracy is 0.04 to 0.08 lower.
    features = np.concatenate([tracks.standard.mean(axis=2), tracks.standard.std(axis=2)], axis=1)
    labels, train, validation = tracks.labels, split.train, split.validation
    begun = time.process_time()
    models = []
    for c in (0.3, 1.0, 3.0, 10.0, 30.0):
        model = make_pipeline(StandardScaler(), SVC(C=c)).fit(features[train], labels[train])
        models.append((model.score(features[validation], labels[validation]), -c, model))
    best = max(models, key=lambda found: found[:2])[2]
    seconds = time.process_time() - begun

    def predict(chosen: Mask) -> Floats:
        if not chosen.any():
            return np.empty((0, len(tracks.genres)), np.float32)
        one_hot = np.eye(len(tracks.genres), dtype=np.float32)[best.predict(features[chosen])]
        return np.repeat(one_hot, len(OFFSETS), axis=0)

    return ModelResult(predict(validation), predict(split.test), seconds)


def train_baselines(tracks: Tracks, split: Split) -> Iterator[tuple[str, ModelResult]]:
    """Train the project's classical models with default settings, on 15 components."""
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
            ModelResult(
                probabilities(model, validation, len(tracks.genres)),
                probabilities(model, test, len(tracks.genres)),
                seconds,
            ),
        )


def describe_training(arguments: argparse.Namespace) -> str:
    """Return as JSON the inputs of a training other than network, split and code."""
    names = ("budget", "image_size", "training", "model", "augmentation", "choose")
    return json.dumps({name: getattr(arguments, name) for name in names}, sort_keys=True)


def train_network(
    name: str, tracks: Tracks, split: Split, arguments: argparse.Namespace
) -> ModelResult:
    """Train a network, or load the result of the same training from `arguments.save`."""
    from components.audio.spectrogram.stored import from_stored
    from components.models import architectures
    from components.models.settings import ModelSettings
    from components.trainer.settings import AugmentationSettings, TrainingSettings

    settings = describe_training(arguments)
    file = arguments.save and arguments.save / f"{name}-{split.number}.npz"
    if file and (kept := ModelResult.load(file, settings)):
        return kept
    sized = architectures.NETWORKS[name].min_side_pixels is not None
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

    def predict(part: str) -> Floats:
        inputs = from_stored(clips[part].inputs)
        if not len(inputs):
            return np.empty((0, len(tracks.genres)), np.float32)
        return np.asarray(made.model.predict(inputs, batch_size=32, verbose=0), np.float32)

    found = ModelResult(
        predict("validation"),
        predict("test"),
        seconds,
        made.parameters,
        len(history.epochs),
        history.phases[0].best_epoch,
        history.phases[0].best_val_loss,
    )
    if file:
        found.save(file, settings)
    return found


def make_ensembles(
    networks: dict[str, ModelResult],
    classical: dict[str, ModelResult],
    labels: npt.NDArray[np.int64],
) -> Iterator[tuple[str, ModelResult]]:
    """Average the single models.

    Args:
      networks: results of the networks, by name.
      classical: results of the classical models, by name.
      labels: of the validation tracks; they choose the weights of the weighted ensemble.
    """
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
            ModelResult(
                average([every[member].validation for member in members], weights),
                average([every[member].test for member in members], weights),
                sum(every[member].seconds for member in members),
            ),
        )


def track_means(probabilities: Floats) -> Floats:
    """Average the clips of each track: `[clips, genres]` to `[tracks, genres]`."""
    return probabilities.reshape(-1, len(OFFSETS), probabilities.shape[1]).mean(axis=1)
