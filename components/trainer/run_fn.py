"""What TFX's Trainer calls for one network: read, check, build, train, export, record.

In `model_run_dir`: `history.json` (see history.py; written last), `curves.png` and, in a folder
for each phase, TensorBoard's events of the same epochs.

Beside it `base.weights.h5`, where the network has a base: its trained convolutions, which
another network of that architecture may start from.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf

from components.artifacts import files as artifact_files
from components.artifacts.names import HISTORY_JSON, TRAINING_CURVES_PNG
from components.audio.params import AudioParams
from components.common import progress
from components.common.errors import DataError
from components.examples import reader
from components.export.seen_tracks import seen_json
from components.models import registry
from components.models.network import Network
from components.models.settings import ModelSettings
from components.trainer import data, history, splits, tensorflow_devices
from components.trainer.callbacks import Reporter
from components.trainer.checkpoints import CHECKPOINTS_VARIABLE, Checkpoint
from components.trainer.curves import plot
from components.trainer.devices import FLOAT32
from components.trainer.event_log import EventLog
from components.trainer.export import export_saved_model
from components.trainer.history import CURVES_VARIABLE
from components.trainer.resolved import ResolvedSettings, resolve
from components.trainer.settings import AugmentationSettings, TrainingSettings
from components.trainer.training import TrainingHistory, train
from components.trainer.tuned import Values, tuned_values, with_values

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
    data: Mapping[str, Any]
    tuned: Values = dataclasses.field(default_factory=dict)

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> TrainerConfig:
        """From `architecture`, `genres`, `audio_hash`, `code_digest`, `synthetic` (whether
        the audio was made by a program; the model card says so), `weights_digest` (of a
        local file of starting weights), and JSON texts of `model`, `training` (their settings
        classes' fields), `audio` (AudioParams.to_json) and `data` (tables of settings that
        decided which clips there are; recorded, and not used).

        Raises:
          ValueError: a key or field is missing or unknown, or the parameters do not have
            the hash that the examples were asked for with.
        """
        names = {
            "architecture", "model", "training", "audio", "genres", "audio_hash", "code_digest",
            "synthetic", "weights_digest", "data",
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
            data=json.loads(values["data"]),
        )


def run_fn(fn_args: Any) -> None:
    """Trains one network and writes its SavedModel and its history.

    Args:
      fn_args: TFX's FnArgs. Used: `train_files`, `eval_files` (file patterns of the train
        and the validation split), `serving_model_dir`, `model_run_dir`, `custom_config`,
        `hyperparameters` (a Tuner's, or None).

    Raises:
      ValueError: `custom_config` is not what TrainerConfig.parse takes, or
        `hyperparameters` not what tuned_values takes.
      DataError: a split is empty, a genre has no training clips, a label fits no genre, a
        batch is larger than the train split, or the examples cannot be read.
      GenreflowError: the network cannot be built (NetworkError, WeightsError) or trained
        (TrainingError).
    """
    config = _with_tuned(TrainerConfig.parse(fn_args.custom_config), fn_args.hyperparameters)
    for directory in (fn_args.serving_model_dir, fn_args.model_run_dir):
        # A retried step inherits the folders of the attempt that died.
        artifact_files.remove_folder(directory)
    gpus = tensorflow_devices.gpus()
    settings = resolve(config.training, config.model, registry.defaults(config.architecture), gpus)
    placed = functools.partial(tensorflow_devices.placed, gpus)

    with placed():
        # Built before any example is read: weights that cannot be had end it at once.
        network = _network(config, settings, config.model, settings.precision)
    report = functools.partial(progress.report, "training", architecture=config.architecture)
    opened = splits.opened(
        fn_args.train_files,
        fn_args.eval_files,
        config.audio,
        config.genres,
        limit=settings.max_train_clips,
        seed=settings.seed,
    )
    with (
        opened as (train_split, validation_split),
        _event_log(config, report) as log,
        placed() as placement,
    ):
        _check_batch(config.architecture, settings, len(train_split))
        checkpoint = _checkpoint(config, [train_split, validation_split], settings)
        trained = train(
            network,
            train_split,
            validation_split,
            settings,
            report=report,
            on_epoch=log,
            checkpoint=checkpoint,
            scratch_dir=os.environ.get(CHECKPOINTS_VARIABLE),
            placement=placement,
        )
        events = log.files()
    network = _served(config, settings, network)
    values = _history(config, settings, network, trained, train_split, validation_split)
    values["devices"] = {
        "gpus": [gpu.name for gpu in gpus],
        "replicas": placement.replicas,
        "jit_compile": placement.jit_compile,
    }
    export_saved_model(
        network.model,
        fn_args.serving_model_dir,
        params=config.audio,
        genres=config.genres,
        model_card={
            **history.model_card(values, train_split.labels),
            "synthetic": config.synthetic,
        },
        seen=seen_json(
            {
                "train": reader.track_ids(reader.find(fn_args.train_files)),
                "validation": reader.track_ids(reader.find(fn_args.eval_files)),
            }
        ),
    )
    _write_base(network, fn_args.model_run_dir)
    for name, content in {TRAINING_CURVES_PNG: plot(values), **events}.items():
        artifact_files.write_bytes(os.path.join(fn_args.model_run_dir, name), content)
    _write_json(fn_args.model_run_dir, HISTORY_JSON, values)
    checkpoint.remove()


def _network(
    config: TrainerConfig, settings: ResolvedSettings, model: ModelSettings, dtype_policy: str
) -> Network:
    return registry.build(
        config.architecture,
        model,
        n_mels=config.audio.n_mels,
        frames=config.audio.frames,
        genres=len(config.genres),
        seed=settings.seed,
        dtype_policy=dtype_policy,
    )


def _served(config: TrainerConfig, settings: ResolvedSettings, trained: Network) -> Network:
    """The trained weights in a network that computes in float32 on one device: a server's
    CPU has no 16-bit arithmetic to speak of, and must not need several devices."""
    plain = _network(config, settings, dataclasses.replace(config.model, weights="none"), FLOAT32)
    plain.model.set_weights(trained.model.get_weights())
    return plain


def _check_batch(architecture: str, settings: ResolvedSettings, clips: int) -> None:
    if settings.batch_size > clips:
        raise DataError(
            f"{architecture} would learn from {clips} clips, fewer than one batch of "
            f"{settings.batch_size}: set models.{architecture}.batch_size to {clips} or less, or "
            "add tracks"
        )


@contextlib.contextmanager
def _event_log(config: TrainerConfig, report: Reporter) -> Iterator[EventLog]:
    """Where TensorBoard can look on while it trains, or in a folder for the time being if
    nobody named one."""
    with contextlib.ExitStack() as stack:
        folder = os.environ.get(CURVES_VARIABLE) or stack.enter_context(
            tempfile.TemporaryDirectory(prefix="genreflow-curves-")
        )
        log = EventLog(os.path.join(folder, config.architecture), report=report)
        stack.callback(log.close)
        yield log


def _with_tuned(config: TrainerConfig, hyperparameters: Mapping[str, Any] | None) -> TrainerConfig:
    tuned = tuned_values(hyperparameters)
    return dataclasses.replace(config, model=with_values(config.model, tuned), tuned=tuned)


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
        history.versions(),
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


def _history(
    config: TrainerConfig,
    settings: ResolvedSettings,
    network: Network,
    trained: TrainingHistory,
    train_split: splits.Split,
    validation_split: splits.Split,
) -> dict[str, Any]:
    return history.record(
        trained,
        architecture=config.architecture,
        parameters=network.parameters,
        settings=settings.to_json(),
        tuned=config.tuned,
        data={**config.data, "audio": config.audio.to_json()},
        genres=config.genres,
        clips={"train": len(train_split), "validation": len(validation_split)},
        streamed=isinstance(train_split, data.Stream),
        audio_hash=config.audio.digest(),
        code_digest=config.code_digest,
        weights_digest=config.weights_digest,
    )


def _write_json(directory: str, name: str, values: Mapping[str, Any]) -> None:
    text = json.dumps(values, indent=2, sort_keys=True, allow_nan=False) + "\n"
    artifact_files.write_text(os.path.join(directory, name), text)
