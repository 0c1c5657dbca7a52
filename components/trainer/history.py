"""What a training leaves in words: the history file and the model's card.

`history.json`:

schema_version  1
architecture    the network's name
parameters      how many weights the model has
train_seconds   of the training alone
resumed_epochs  of these, done by an earlier run that was broken off
settings        ResolvedSettings as plain values
tuned           those of them that a Tuner found; {} without one
data            {"dataset", "split", "audio"}: the tables that decide what was learned from
genres          in label order
clips           {"train": n, "validation": n} that were used
input           "memory" (both splits fit) or "stream"; they are shuffled differently
devices         {"gpus": names, "replicas": n, "jit_compile": whether XLA compiled the steps}
phases          PhaseRecord of each phase, in order
epochs          EpochRecord of each epoch, in order
versions        of Genreflow, Python, Keras, its backend, TensorFlow and NumPy
audio_hash, code_digest, weights_digest ("" but for a local file of starting weights)

The card, which goes into the exported model, says the same without times and epochs: the
same training says the same.
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

# TensorBoard takes what begins with this for its own.
EVENTS_PREFIX = "events.out.tfevents."
# The variable that names the folder of each network's events, while it trains; set by whoever
# runs the pipeline, like checkpoints.CHECKPOINTS_VARIABLE.
CURVES_VARIABLE = "GENREFLOW_CURVES"
SCHEMA_VERSION = 1

_ON_THE_CARD = (
    "architecture", "parameters", "settings", "tuned", "data", "clips", "versions",
    "audio_hash", "code_digest", "weights_digest",
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
) -> dict[str, Any]:
    """The content of the history file, as JSON values."""
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
    }


def versions() -> dict[str, str]:
    """What the weights also depend on."""
    import keras

    return {
        "python": platform.python_version(),
        "keras": keras.__version__,
        "backend": keras.backend.backend(),
        **{name: importlib.metadata.version(name) for name in ("genreflow", "tensorflow", "numpy")},
    }


def model_card(values: Mapping[str, Any], train_labels: npt.NDArray[np.int64]) -> dict[str, Any]:
    """What the exported model says of itself.

    Args:
      values: the content of the history file.
      train_labels: int64 `[clips]` of the clips that it was trained on.
    """
    counts = np.bincount(train_labels, minlength=len(values["genres"]))
    epoch = values["epochs"][kept_epoch(values)]
    settings = values["settings"]
    return {
        **{key: values[key] for key in _ON_THE_CARD},
        # Whoever asks the served model hears no folder of the machine that it was trained on.
        "settings": {**settings, "weights": os.path.basename(settings["weights"])},
        "train_clips_per_genre": {
            genre: int(count) for genre, count in zip(values["genres"], counts, strict=True)
        },
        "kept": {"phase": epoch["phase"], "epoch": epoch["epoch"]},
        "validation": {"loss": epoch["val_loss"], "clip_accuracy": epoch["val_accuracy"]},
    }
