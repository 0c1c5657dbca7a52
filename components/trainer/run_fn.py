"""The function that TFX's Trainer calls for one network: it trains, exports and records.

`model_run_dir` gets `history.json` (see history.py; written last), `curves.png` and a folder of
TensorBoard's events for each phase. If the network has a base, `base.weights.h5` holds its trained
convolutions, and another network of that architecture may start from them.
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
from components.common import progress
from components.common.errors import DataError
from components.examples import reader
from components.export.assets import seen_tracks_of
from components.models import registry
from components.models.network import Network
from components.models.origins import origin
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
from components.trainer.task import TrainingTask
from components.trainer.training import TrainingHistory, train
from components.trainer.tuned import Values, tuned_values, with_tuned_values

BASE_FILE = "base.weights.h5"


def run_fn(fn_args: Any) -> None:
    """Train one network, and write its SavedModel and its history.

    Args:
      fn_args: TFX's FnArgs. Used are `train_files` and `eval_files` (file patterns of the
        train and the validation split), `serving_model_dir`, `model_run_dir`, `custom_config`
        (TrainingTask.to_json) and `hyperparameters` (a Tuner's, or None).

    Raises:
      ValueError: `custom_config` or `hyperparameters` is invalid (see TrainingTask.parse and
        tuned_values).
      DataError: a split is empty, a genre has no training clips, a label fits no genre, a
        batch is larger than the train split, or the examples cannot be read.
      GenreflowError: the network cannot be built (NetworkError, WeightsError) or trained
        (TrainingError).
    """
    tuned = tuned_values(fn_args.hyperparameters)
    task = TrainingTask.parse(fn_args.custom_config)
    task = dataclasses.replace(task, model=with_tuned_values(task.model, tuned))
    for directory in (fn_args.serving_model_dir, fn_args.model_run_dir):
        # A retried step inherits the folders of the attempt that died.
        artifact_files.remove_folder(directory)
    gpus = tensorflow_devices.gpus()
    settings = resolve(task.training, task.model, registry.defaults(task.architecture), gpus)
    placed = functools.partial(tensorflow_devices.placed, gpus)

    with placed():
        # Built before any example is read, so that missing weights end the training at once.
        network = _network(task, settings, task.model, settings.precision)
    report = functools.partial(progress.report, "training", architecture=task.architecture)
    opened = splits.opened(
        fn_args.train_files,
        fn_args.eval_files,
        task.audio,
        task.genres,
        limit=settings.max_train_clips,
        seed=settings.seed,
    )
    with (
        opened as (train_split, validation_split),
        _event_log(task, report) as log,
        placed() as placement,
    ):
        _check_batch(task.architecture, settings, len(train_split))
        inputs = _training_inputs(task, [train_split, validation_split], settings)
        checkpoint = _checkpoint(task, inputs)
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
    network = _served(task, settings, network)
    values = _history(
        task, tuned, settings, network, trained, train_split, validation_split, inputs
    )
    values["devices"] = {
        "gpus": [gpu.name for gpu in gpus],
        "replicas": placement.replicas,
        "jit_compile": placement.jit_compile,
    }
    export_saved_model(
        network.model,
        fn_args.serving_model_dir,
        params=task.audio,
        genres=task.genres,
        model_card={
            **history.model_card(values, train_split.labels),
            "synthetic": task.synthetic,
        },
        seen=seen_tracks_of(
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
    task: TrainingTask, settings: ResolvedSettings, model: ModelSettings, dtype_policy: str
) -> Network:
    return registry.build(
        task.architecture,
        model,
        n_mels=task.audio.n_mels,
        frames=task.audio.frames,
        genres=len(task.genres),
        seed=settings.seed,
        dtype_policy=dtype_policy,
    )


def _served(task: TrainingTask, settings: ResolvedSettings, trained: Network) -> Network:
    """Return the network to serve: the trained weights, in float32 and on one device.

    A server's CPU computes slowly in 16 bits, and a server must not need several devices.
    """
    plain = _network(task, settings, dataclasses.replace(task.model, weights="none"), FLOAT32)
    plain.model.set_weights(trained.model.get_weights())
    return plain


def _check_batch(architecture: str, settings: ResolvedSettings, clips: int) -> None:
    """Raise DataError if a batch is larger than the train split."""
    if settings.batch_size > clips:
        raise DataError(
            f"{architecture} would be trained on {clips} clips, fewer than one batch of "
            f"{settings.batch_size}: set models.{architecture}.batch_size to {clips} or less, or "
            "add tracks"
        )


@contextlib.contextmanager
def _event_log(task: TrainingTask, report: Reporter) -> Iterator[EventLog]:
    """Open an event log in the folder that the environment names, for TensorBoard to read.

    Without a named folder the log is in a temporary one.
    """
    with contextlib.ExitStack() as stack:
        folder = os.environ.get(CURVES_VARIABLE) or stack.enter_context(
            tempfile.TemporaryDirectory(prefix="genreflow-curves-")
        )
        log = EventLog(os.path.join(folder, task.architecture), report=report)
        stack.callback(log.close)
        yield log


def _training_inputs(
    task: TrainingTask, both: Sequence[splits.Split], settings: ResolvedSettings
) -> str:
    """Return 64 hex digits over the examples, all settings, the code and the libraries' versions.

    Trainings that have them in common give the same weights on the same CPU.
    """
    depends_on = [
        task.architecture,
        task.audio.digest(),
        task.genres,
        settings.to_json(),
        task.weights_digest,
        task.code_digest,
        history.versions(),
        [splits.digest(split) for split in both],
    ]
    return hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()


def _checkpoint(task: TrainingTask, training_inputs: str) -> Checkpoint:
    """Return the checkpoint that is named by all that the training depends on."""
    folder = os.environ.get(CHECKPOINTS_VARIABLE)
    if not folder:
        return Checkpoint(None)
    return Checkpoint(os.path.join(folder, f"{task.architecture}-{training_inputs[:24]}.npz"))


def _write_base(network: Network, directory: str) -> None:
    """Write the trained convolutions, for another network's `weights = PATH`."""
    if network.base is None:
        return
    with tempfile.TemporaryDirectory(prefix="genreflow-base-") as scratch:
        local = os.path.join(scratch, BASE_FILE)
        network.base.get_layer("convolutions").save_weights(local)
        tf.io.gfile.makedirs(directory)
        tf.io.gfile.copy(local, os.path.join(directory, BASE_FILE), overwrite=True)


def _history(
    task: TrainingTask,
    tuned: Values,
    settings: ResolvedSettings,
    network: Network,
    trained: TrainingHistory,
    train_split: splits.Split,
    validation_split: splits.Split,
    training_inputs: str,
) -> dict[str, Any]:
    return history.record(
        trained,
        architecture=task.architecture,
        parameters=network.parameters,
        settings=settings.to_json(),
        tuned=tuned,
        data={**task.data, "audio": task.audio.to_json()},
        genres=task.genres,
        clips={"train": len(train_split), "validation": len(validation_split)},
        streamed=isinstance(train_split, data.Stream),
        audio_hash=task.audio.digest(),
        code_digest=task.code_digest,
        weights_digest=task.weights_digest,
        training_inputs=training_inputs,
        pretrained=origin(task.architecture, task.model.weights),
    )


def _write_json(directory: str, name: str, values: Mapping[str, Any]) -> None:
    text = json.dumps(values, indent=2, sort_keys=True, allow_nan=False) + "\n"
    artifact_files.write_text(os.path.join(directory, name), text)
