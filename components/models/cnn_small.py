"""A compact convolutional network that trains in seconds."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from components.audio.params import DYNAMIC_RANGE_DB
from components.models.network import Defaults, Network, single_phase
from components.models.settings import ModelSettings
from components.models.weights import reject_weights

DEFAULTS = Defaults(dropout=0.3, l2=1e-4)

# Filters, and how far each block shrinks (mel bands, frames). With 512-sample hops at
# 22,050 Hz the last block looks at about a second: long enough for a beat.
BLOCKS = ((16, (2, 2)), (32, (2, 2)), (64, (2, 2)), (96, (2, 1)))


def build(settings: ModelSettings, *, n_mels: int, frames: int, genres: int, seed: int) -> Network:
    """Four convolution blocks, then the mean and the peak of each filter over the clip.

    The pooling over all frames makes it blind to where in the clip something happens.

    Raises:
      components.models.weights.WeightsError: `settings.weights` is not "none".
    """
    reject_weights("cnn_small", settings.weights)
    dropout, l2 = DEFAULTS.dropout_of(settings), DEFAULTS.l2_of(settings)
    mel_db = keras.Input((n_mels, frames), name="mel_db")
    x = layers.Rescaling(1 / DYNAMIC_RANGE_DB, offset=1, name="scale")(mel_db)
    x = layers.Reshape((n_mels, frames, 1), name="picture")(x)
    for index, (filters, pool) in enumerate(BLOCKS, start=1):
        x = _block(x, index, filters, pool, l2, seed + index)
    mean = layers.GlobalAveragePooling2D(name="mean")(x)
    peak = layers.GlobalMaxPooling2D(name="peak")(x)
    x = layers.Concatenate(name="features")([mean, peak])
    x = layers.Dropout(dropout, seed=seed, name="dropout")(x)
    probabilities = layers.Dense(
        genres,
        activation="softmax",
        kernel_initializer=keras.initializers.GlorotUniform(seed=seed),
        kernel_regularizer=keras.regularizers.L2(l2),
        name="probabilities",
    )(x)
    return single_phase(keras.Model(mel_db, probabilities, name="cnn_small"))


def _block(x: Any, index: int, filters: int, pool: tuple[int, int], l2: float, seed: int) -> Any:
    x = layers.Conv2D(
        filters,
        3,
        padding="same",
        use_bias=False,
        kernel_initializer=keras.initializers.HeNormal(seed=seed),
        kernel_regularizer=keras.regularizers.L2(l2),
        name=f"conv_{index}",
    )(x)
    # 0.9: a small corpus has few batches in an epoch, and 0.99 would lag behind them.
    x = layers.BatchNormalization(momentum=0.9, name=f"norm_{index}")(x)
    x = layers.ReLU(name=f"relu_{index}")(x)
    # "same": spectrograms of a few bands or frames pass too.
    return layers.MaxPooling2D(pool, padding="same", name=f"pool_{index}")(x)
