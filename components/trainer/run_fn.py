"""What TFX's Trainer calls for one network: read, check, build, train, export, record.

`model_run_dir/history.json` (written whole or not at all):

schema_version  1
architecture    the network's name
parameters      how many weights the model has
train_seconds   of the training alone
resumed_epochs  of these, done by an earlier run that was broken off
settings        ResolvedSettings as plain values
genres          in label order
clips           {"train": n, "validation": n} that were used
input           "memory" (both splits fit) or "stream"; they are shuffled differently
phases          PhaseRecord of each phase, in order
epochs          EpochRecord of each epoch, in order
versions        of Python, Keras, its backend, TensorFlow and NumPy
audio_hash, code_digest

Beside it `base.weights.h5`, where the network has a base: its trained convolutions, which
another network of that architecture may start from.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components import progress
from components.audio.params import AudioParams
from components.models import registry
from components.models.network import Network
from components.models.settings import AugmentationSettings, ModelSettings, TrainingSettings
from components.trainer import data, splits
from components.trainer.checkpoints import CHECKPOINTS_VARIABLE, Checkpoint
from components.trainer.export import export_saved_model
from components.trainer.settings import ResolvedSettings, resolve
from components.trainer.training import TrainingHistory, train

HISTORY_SCHEMA_VERSION = 1
HISTORY_FILE = "history.json"
BASE_FILE = "base.weights.h5"


@dataclasses.dataclass(frozen=True)
class TrainerConfig:
    """A Trainer's custom_config, parsed and checked."""

    architecture: str
    model: ModelSettings
    training: TrainingSettings
    audio: AudioParams
    genres: tuple[str, ...]
    code_digest: str
    weights_digest: str
    synthetic: bool

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> TrainerConfig:
        """From `architecture`, `genres`, `audio_hash`, `code_digest`, `synthetic` (whether
        the audio was made by a program; the model card says so), `weights_digest` (of a
        local file of starting weights, for TFX's cache alone), and JSON texts of
        `model`, `training` (their settings classes' fields) and `audio` (AudioParams.to_json).

        Raises:
          ValueError: a key or field is missing or unknown, or the parameters do not have
            the hash that the examples were asked for with.
        """
        names = {
            "architecture", "model", "training", "audio", "genres", "audio_hash", "code_digest",
            "synthetic", "weights_digest",
        }  # fmt: skip
        if set(values) != names:
            raise ValueError(f"custom_config needs exactly {sorted(names)}, got {sorted(values)}")
        audio = AudioParams.from_json(json.loads(values["audio"]))
        if audio.digest() != values["audio_hash"]:
            raise ValueError(
                f"audio parameters of hash {audio.digest()} in a node made for "
                f"{values['audio_hash']}"
            )
        return cls(
            architecture=values["architecture"],
            model=_settings(ModelSettings, values["model"]),
            training=_training_settings(values["training"]),
            audio=audio,
            genres=tuple(values["genres"]),
            code_digest=values["code_digest"],
            weights_digest=values["weights_digest"],
            synthetic=bool(values["synthetic"]),
        )


def run_fn(fn_args: Any) -> None:
    """Trains one network and writes its SavedModel and its history.

    Args:
      fn_args: TFX's FnArgs. Used: `train_files`, `eval_files` (file patterns of the train
        and the validation split), `serving_model_dir`, `model_run_dir`, `custom_config`.

    Raises:
      ValueError: `custom_config` is not what TrainerConfig.parse takes.
      DataError: a split is empty, a genre has no training clips, a label fits no genre, or
        the examples cannot be read.
      GenreflowError: the network cannot be built (NetworkError, WeightsError) or trained
        (TrainingError).
    """
    config = TrainerConfig.parse(fn_args.custom_config)
    for directory in (fn_args.serving_model_dir, fn_args.model_run_dir):
        # A repeated step inherits what the interrupted one left.
        if tf.io.gfile.exists(directory):
            tf.io.gfile.rmtree(directory)
    settings = resolve(config.training, config.model, registry.defaults(config.architecture))

    # Built before any example is read: weights that cannot be had end it at once.
    network = registry.build(
        config.architecture,
        config.model,
        n_mels=config.audio.n_mels,
        frames=config.audio.frames,
        genres=len(config.genres),
        seed=settings.seed,
    )
    with splits.opened(
        fn_args.train_files,
        fn_args.eval_files,
        config.audio,
        config.genres,
        limit=settings.max_train_clips,
        seed=settings.seed,
    ) as (train_split, validation_split):
        checkpoint = _checkpoint(config, [train_split, validation_split], settings)
        history = train(
            network,
            train_split,
            validation_split,
            settings,
            report=functools.partial(progress.report, "training", architecture=config.architecture),
            checkpoint=checkpoint,
            scratch_dir=os.environ.get(CHECKPOINTS_VARIABLE),
        )
    record = _record(config, settings, network, history, train_split, validation_split)
    export_saved_model(
        network.model,
        fn_args.serving_model_dir,
        params=config.audio,
        genres=config.genres,
        model_card={
            **_model_card(record, history, train_split.labels),
            "synthetic": config.synthetic,
        },
    )
    _write_base(network, fn_args.model_run_dir)
    _write_json(fn_args.model_run_dir, HISTORY_FILE, record)
    checkpoint.remove()


def _checkpoint(
    config: TrainerConfig, both: Sequence[splits.Split], settings: ResolvedSettings
) -> Checkpoint:
    """Named by what the training depends on: the examples, all settings, the code."""
    folder = os.environ.get(CHECKPOINTS_VARIABLE)
    if not folder:
        return Checkpoint(None)
    depends_on = [
        config.architecture,
        config.audio.digest(),
        config.genres,
        settings.to_json(),
        config.weights_digest,
        config.code_digest,
        versions(),
        [splits.digest(split) for split in both],
    ]
    key = hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()[:24]
    return Checkpoint(os.path.join(folder, f"{config.architecture}-{key}.npz"))


def _write_base(network: Network, directory: str) -> None:
    """The trained convolutions, for another network's `weights = PATH`."""
    if network.base is None:
        return
    with tempfile.TemporaryDirectory(prefix="genreflow-base-") as scratch:
        local = os.path.join(scratch, BASE_FILE)
        network.base.get_layer("convolutions").save_weights(local)
        tf.io.gfile.makedirs(directory)
        tf.io.gfile.copy(local, os.path.join(directory, BASE_FILE), overwrite=True)


def _training_settings(text: str) -> TrainingSettings:
    values = json.loads(text)
    augmentation = _settings(AugmentationSettings, json.dumps(values["augmentation"]))
    settings: TrainingSettings = _settings(TrainingSettings, text)
    return dataclasses.replace(settings, augmentation=augmentation)


def _settings(kind: Any, text: str) -> Any:
    values = json.loads(text)
    names = {field.name for field in dataclasses.fields(kind)}
    if set(values) != names:
        raise ValueError(f"{kind.__name__} needs exactly {sorted(names)}, got {sorted(values)}")
    return kind(**values)


def _record(
    config: TrainerConfig,
    settings: ResolvedSettings,
    network: Network,
    history: TrainingHistory,
    train_split: splits.Split,
    validation_split: splits.Split,
) -> dict[str, Any]:
    return {
        "schema_version": HISTORY_SCHEMA_VERSION,
        "architecture": config.architecture,
        "parameters": network.parameters,
        "train_seconds": round(history.train_seconds, 3),
        "resumed_epochs": history.resumed_epochs,
        "settings": settings.to_json(),
        "genres": list(config.genres),
        "clips": {
            "train": len(train_split.labels),
            "validation": len(validation_split.labels),
        },
        "input": "stream" if isinstance(train_split, data.Stream) else "memory",
        "phases": [dataclasses.asdict(phase) for phase in history.phases],
        "epochs": [dataclasses.asdict(epoch) for epoch in history.epochs],
        "versions": versions(),
        "audio_hash": config.audio.digest(),
        "code_digest": config.code_digest,
    }


def versions() -> dict[str, str]:
    """Of what a training's numbers depend on, beside its settings and its data."""
    return {
        "python": platform.python_version(),
        "keras": keras.__version__,
        "backend": keras.backend.backend(),
        **{name: importlib.metadata.version(name) for name in ("tensorflow", "numpy")},
    }


def _model_card(
    record: Mapping[str, Any], history: TrainingHistory, train_labels: npt.NDArray[np.int64]
) -> dict[str, Any]:
    """What the exported model says of itself; no clock, so the same training says the same."""
    counts = np.bincount(train_labels, minlength=len(record["genres"]))
    kept = [phase for phase in history.phases if phase.best_epoch][-1]
    epoch = next(
        epoch
        for epoch in history.epochs
        if (epoch.phase, epoch.epoch) == (kept.phase, kept.best_epoch)
    )
    same = ("architecture", "parameters", "settings", "clips", "versions", "audio_hash")
    return {
        **{key: record[key] for key in (*same, "code_digest")},
        "train_clips_per_genre": {
            genre: int(count) for genre, count in zip(record["genres"], counts, strict=True)
        },
        "kept": {"phase": kept.phase, "epoch": kept.best_epoch},
        "validation": {"loss": epoch.val_loss, "clip_accuracy": epoch.val_accuracy},
    }


def _write_json(directory: str, name: str, values: Mapping[str, Any]) -> None:
    """Under a temporary name first: who finds the file finds all of it."""
    tf.io.gfile.makedirs(directory)
    path = os.path.join(directory, name)
    with tf.io.gfile.GFile(f"{path}.tmp", "w") as file:
        file.write(json.dumps(values, indent=2, sort_keys=True, allow_nan=False) + "\n")
    tf.io.gfile.rename(f"{path}.tmp", path, overwrite=True)
