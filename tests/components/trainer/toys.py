"""Toy sets and networks that train in a moment."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from components.models import registry
from components.models.network import Network, single_phase
from components.models.network import with_base as make_with_base
from components.models.settings import ModelSettings
from components.trainer.batches import Clips
from components.trainer.resolved import ResolvedSettings
from components.trainer.settings import AugmentationSettings

N_MELS, FRAMES = 16, 20


def settings(**changes: Any) -> ResolvedSettings:
    """Return settings of two epochs for each phase, and of plain Adam."""
    values: dict[str, Any] = {
        "epochs": 2,
        "fine_tune_epochs": 2,
        "batch_size": 8,
        "learning_rate": 1e-2,
        "fine_tune_learning_rate": 1e-3,
        "schedule": "constant",
        "warmup_epochs": 0,
        "clip_norm": 0.0,
        "class_weights": "none",
        "label_smoothing": 0.0,
        "patience": 50,
        "seed": 3,
        "precision": "float32",
        "augmentation": {},
        "head_units": 0,
        "dropout": 0.0,
        "l2": 0.0,
        "weights": "none",
        "image_size": 0,
        "max_train_clips": 0,
    }
    values.update(changes)
    values["augmentation"] = AugmentationSettings(**values["augmentation"])
    return ResolvedSettings(**values)


def clips(count: int, seed: int, genres: int = 3) -> Clips:
    """Return clips of noise with one louder band for each label."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % genres
    mel_db = rng.uniform(-70, -50, (count, N_MELS, FRAMES))
    mel_db[np.arange(count), 2 + 5 * labels] += 40
    return Clips(mel_db.astype(np.float16), labels.astype(np.int64))


def cnn(seed: int = 0) -> Network:
    return registry.build(
        "cnn_small", ModelSettings(dropout=0.0), n_mels=N_MELS, frames=FRAMES, genres=3, seed=seed
    )


def plain(seed: int = 0) -> Network:
    """Return the smallest network that trains as a whole."""
    keras.utils.set_random_seed(seed)
    mel_db = keras.Input((N_MELS, FRAMES))
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 80, offset=1)(mel_db))
    return single_phase(keras.Model(mel_db, keras.layers.Dense(3, activation="softmax")(x)))


def with_base(
    seed: int = 0,
    *,
    pretrained: bool = True,
    dropout: float = 0.0,
    dtype_policy: str = "float32",
    n_mels: int = N_MELS,
    frames: int = FRAMES,
) -> Network:
    """Return a small network with batch normalisation nested in its base."""
    keras.utils.set_random_seed(seed)
    with registry.in_precision(dtype_policy):
        return _with_base(seed, pretrained, dropout, (n_mels, frames))


def _with_base(seed: int, pretrained: bool, dropout: float, shape: tuple[int, int]) -> Network:
    inner = keras.Sequential(
        [
            keras.Input(shape),
            keras.layers.Rescaling(1 / 80, offset=1, dtype="float32"),
            keras.layers.Conv1D(8, 3, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.5),
            keras.layers.Flatten(),
        ],
        name="inner",
    )
    mel_db = keras.Input(shape)
    features = keras.layers.Identity(dtype="float32")(inner(mel_db))
    base = keras.Model(mel_db, features, name="base")
    features = keras.Input(base.output_shape[1:])
    dropped = keras.layers.Dropout(dropout, seed=seed)(features)
    probabilities = keras.layers.Dense(3, activation="softmax", dtype="float32")(dropped)
    head = keras.Model(features, probabilities, name="head")
    return make_with_base(base, head, pretrained=pretrained)


def noisy_with_base(*, pretrained: bool, dtype_policy: str = "float32") -> Network:
    """Return a network with a base, and with dropout at every step."""
    return with_base(pretrained=pretrained, dropout=0.4, dtype_policy=dtype_policy)
