"""Records of a training: the history file, and the card of the exported model.

`history.json`:

schema_version  1
architecture    the network's name
parameters      number of the model's weights
train_seconds   duration of the training alone
resumed_epochs  number of epochs that an earlier, interrupted run trained
settings        ResolvedSettings as plain values
tuned           the settings that a Tuner found; {} without one
data            {"dataset", "split", "audio"}: tables that decide which clips there are
genres          names in label order
clips           {"train": n, "validation": n}: number of clips used
input           "memory" (both splits fit) or "stream"; they are shuffled differently
devices         {"gpus": names, "replicas": n, "jit_compile": whether XLA compiled the steps}
phases          the fields of each PhaseRecord, in order
epochs          the fields of each EpochRecord, in order
versions        versions of Genreflow, Python, Keras, its backend, TensorFlow and NumPy
audio_hash      hash of the examples' audio parameters
code_digest     digest of the code that trained
weights_digest  digest of a local file of starting weights, or ""
training_inputs hash of the clips and of all else that the weights depend on, but the machine

The card has the same content without times and epochs, so that equal trainings have equal cards.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
import platform
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from components.trainer.curves import kept_epoch

if TYPE_CHECKING:
    from components.trainer.training import TrainingHistory

# Beginning of the names of files that TensorBoard reads.
EVENTS_PREFIX = "events.out.tfevents."
# Environment variable of the folder of each network's events while it trains. Whoever runs the
# pipeline sets it, like checkpoints.CHECKPOINTS_VARIABLE.
CURVES_VARIABLE = "GENREFLOW_CURVES"
SCHEMA_VERSION = 1

_ON_THE_CARD = (
    "architecture", "parameters", "settings", "tuned", "data", "clips", "versions",
    "audio_hash", "code_digest", "weights_digest", "training_inputs", "pretrained",
)  # fmt: skip


def record(
    history: TrainingHistory,
    *,
    architecture: str,
    parameters: int,
    settings: Mapping[str, Any],
    tuned: Mapping[str, float],
    data: Mapping[str, Any],
    genres: Sequence[str],
    clips: Mapping[str, int],
    streamed: bool,
    audio_hash: str,
    code_digest: str,
    weights_digest: str,
    training_inputs: str,
    pretrained: Mapping[str, str] | None,
) -> dict[str, Any]:
    """Return the content of the history file, as JSON values."""
    return {
        "schema_version": SCHEMA_VERSION,
        "architecture": architecture,
        "parameters": parameters,
        "train_seconds": round(history.train_seconds, 3),
        "resumed_epochs": history.resumed_epochs,
        "settings": dict(settings),
        "tuned": dict(tuned),
        "data": dict(data),
        "genres": list(genres),
        "clips": dict(clips),
        "input": "stream" if streamed else "memory",
        "phases": [dataclasses.asdict(phase) for phase in history.phases],
        "epochs": [dataclasses.asdict(epoch) for epoch in history.epochs],
        "versions": versions(),
        "audio_hash": audio_hash,
        "code_digest": code_digest,
        "weights_digest": weights_digest,
        "training_inputs": training_inputs,
        "pretrained": pretrained and dict(pretrained),
    }


def versions() -> dict[str, str]:
    """Return the versions of the software that the weights depend on, TFX's generation among it."""
    import keras

    names = ("genreflow", "tfx", "tensorflow", "numpy")
    return {
        "python": platform.python_version(),
        "keras": keras.__version__,
        "backend": keras.backend.backend(),
        **{name: importlib.metadata.version(name) for name in names},
    }


def model_card(values: Mapping[str, Any], train_labels: npt.NDArray[np.int64]) -> dict[str, Any]:
    """Return the card of the exported model.

    Args:
      values: the content of the history file.
      train_labels: labels of the train clips, int64 `[clips]`.
    """
    counts = np.bincount(train_labels, minlength=len(values["genres"]))
    epoch = values["epochs"][kept_epoch(values)]
    settings = values["settings"]
    return {
        **{key: values[key] for key in _ON_THE_CARD},
        # The served model must not tell its clients the folders of the machine that trained it.
        "settings": {**settings, "weights": os.path.basename(settings["weights"])},
        "train_clips_per_genre": {
            genre: int(count) for genre, count in zip(values["genres"], counts, strict=True)
        },
        "kept": {"phase": epoch["phase"], "epoch": epoch["epoch"]},
        "validation": {"loss": epoch["val_loss"], "clip_accuracy": epoch["val_accuracy"]},
    }
