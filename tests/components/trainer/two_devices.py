"""Training on two devices, in a process for test_replicas.py.

It splits the processor in two, which must happen before TensorFlow starts, and prints one line of
JSON for each case.
"""

# ruff: noqa: E402  what is imported starts TensorFlow

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
import tempfile
from typing import Any

import tensorflow as tf

# Each replica waits for the other in a thread of its own, also where there is only one core.
tf.config.threading.set_inter_op_parallelism_threads(8)
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)

import keras
import numpy as np

from components.common import resources
from components.trainer import callbacks, run_fn, tensorflow_devices, training
from components.trainer.checkpoints import Checkpoint
from components.trainer.devices import ONE_DEVICE
from tests.components.trainer import test_training_run_fn as of_run_fn
from tests.components.trainer import toys

DEVICES = ("CPU:0", "CPU:1")

CASES: dict[str, Any] = {
    # 21 clips in batches of 8 end with 5; 9 to validate on end with one, for two replicas.
    "clipped and weighted": (toys.plain, {"clip_norm": 0.05, "class_weights": "balanced"}),
    "soft targets": (toys.plain, {"batch_size": 7, "augmentation": {"mixup": 0.3}}),
    "two phases": (toys.with_base, {"fine_tune_epochs": 2}),
    "float16": (
        lambda: toys.with_base(dropout=0.4, dtype_policy="mixed_float16"),
        {"clip_norm": 0.05, "epochs": 2, "fine_tune_epochs": 2},
    ),
}


def placed(replicas: int) -> Any:
    if replicas > 1:
        return tensorflow_devices.replicated(DEVICES)
    return contextlib.nullcontext(ONE_DEVICE)


def train(case: str, replicas: int, **options: Any) -> tuple[list[Any], training.TrainingHistory]:
    build, settings = CASES[case]
    with placed(replicas) as placement:
        network = build()
        history = training.train(
            network,
            toys.clips(21, 1),
            toys.clips(9, 2),
            toys.settings(**{"epochs": 3, "schedule": "cosine", **settings}),
            placement=placement,
            **options,
        )
    return network.model.get_weights(), history


def compare(case: str) -> dict[str, Any]:
    (one, alone), (two, together) = train(case, 1), train(case, 2)
    return {
        "distance": max(float(np.abs(a - b).max()) for a, b in zip(one, two, strict=True)),
        "alone": [dataclasses.asdict(epoch) for epoch in alone.epochs],
        "together": [dataclasses.asdict(epoch) for epoch in together.epochs],
    }


class Killed(BaseException):
    """Exception for the end of the process, which no code of training may catch."""


def resumed(case: str) -> dict[str, Any]:
    unbroken, history = train(case, 2)
    done = 0

    def kill(**fields: Any) -> None:
        nonlocal done
        done += "val_loss" in fields
        if done == 3 and "val_loss" not in fields:
            raise Killed

    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Checkpoint(pathlib.Path(folder, "a.npz"))
        callbacks.REPORT_INTERVAL_SECONDS = 0.0
        with contextlib.suppress(Killed):
            train(case, 2, checkpoint=checkpoint, report=kill)
        weights, again = train(case, 2, checkpoint=checkpoint)
    return {
        "resumed_epochs": again.resumed_epochs,
        "same": all(np.array_equal(a, b) for a, b in zip(weights, unbroken, strict=True)),
        "losses": [epoch.val_loss for epoch in again.epochs],
        "expected": [epoch.val_loss for epoch in history.epochs],
    }


def trainer(stream: bool) -> dict[str, Any]:
    """Run the whole of run_fn, with clips in memory or streamed."""
    tensorflow_devices.placed = lambda gpus: tensorflow_devices.replicated(DEVICES)
    if stream:
        resources.cache_bytes = lambda: 0
    with tempfile.TemporaryDirectory() as folder:
        arguments = of_run_fn._fn_args(
            pathlib.Path(folder),
            of_run_fn._config("cnn_small", batch_size=7),
            validation=[0, 1, 2, 0, 1, 2, 0, 1],
        )
        run_fn.run_fn(arguments)
        history = of_run_fn._history(arguments)
        model = tf.saved_model.load(arguments.serving_model_dir)
        record = next(
            iter(tf.data.TFRecordDataset(tf.io.gfile.glob(arguments.eval_files)).batch(8))
        )
        answer = model.signatures["serving_examples"](record)["probabilities"].numpy()
    labels = np.array([0, 1, 2, 0, 1, 2, 0, 1])
    kept = history["phases"][0]["best_epoch"]
    recorded = next(epoch for epoch in history["epochs"] if epoch["epoch"] == kept)
    return {
        "devices": history["devices"],
        "input": history["input"],
        "accuracy": float((answer.argmax(axis=1) == labels).mean()),
        "recorded": recorded["val_accuracy"],
    }


def main() -> None:
    keras.utils.disable_interactive_logging()
    for case in CASES:
        print(json.dumps({case: resumed(case) if case == "float16" else compare(case)}), flush=True)
    print(json.dumps({"memory": trainer(stream=False)}), flush=True)
    print(json.dumps({"stream": trainer(stream=True)}), flush=True)


if __name__ == "__main__":
    main()
