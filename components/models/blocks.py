"""Building blocks that several networks share. Keras tensors in, Keras tensors out."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from components.models.network import Defaults
from components.models.settings import ModelSettings

# A small corpus has few batches an epoch, and the stored statistics would lag behind with
# Keras's 0.99. Validation would then evaluate another network than the one that was trained.
NORM_MOMENTUM = 0.9


class Draw:
    """Factory of He initialisers by fan out (arXiv:1502.01852), each with its own seed."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def __call__(self) -> keras.initializers.Initializer:
        self._seed += 1
        return keras.initializers.VarianceScaling(
            2.0, mode="fan_out", distribution="truncated_normal", seed=self._seed
        )


def convolution_block(
    x: Any, index: int, filters: int, pool: tuple[int, int], *, l2: float, seed: int
) -> Any:
    """Apply a 3 x 3 convolution, batch normalisation, ReLU and max pooling.

    Args:
      x: `[batch, bands, frames, channels]`.
      index: number in the layers' names.
      filters: number of output channels.
      pool: size of the pooling window, in bands and frames.
      l2: weight of the kernel's penalty.
      seed: decides the starting weights.

    Returns:
      `[batch, bands', frames', filters]`.
    """
    x = layers.Conv2D(
        filters,
        3,
        padding="same",
        use_bias=False,
        kernel_initializer=keras.initializers.HeNormal(seed=seed),
        kernel_regularizer=keras.regularizers.L2(l2),
        name=f"conv_{index}",
    )(x)
    x = layers.BatchNormalization(momentum=NORM_MOMENTUM, name=f"norm_{index}")(x)
    x = layers.ReLU(name=f"relu_{index}")(x)
    # "same" padding lets spectrograms of few bands or frames pass.
    return layers.MaxPooling2D(pool, padding="same", name=f"pool_{index}")(x)


def classifier(x: Any, genres: int, *, l2: float, seed: int) -> Any:
    """Map features `[batch, features]` to probabilities float32 `[batch, genres]`.

    The layer computes in float32 whatever the network's precision is: the numbers are few, and
    the loss takes their logarithms.
    """
    return layers.Dense(
        genres,
        activation="softmax",
        kernel_initializer=keras.initializers.GlorotUniform(seed=seed),
        kernel_regularizer=keras.regularizers.L2(l2),
        dtype="float32",
        name="probabilities",
    )(x)


def dense_head(
    base: keras.Model,
    defaults: Defaults,
    settings: ModelSettings,
    *,
    genres: int,
    seed: int,
    hidden_layers: int = 1,
) -> keras.Model:
    """Return a head on a base's features: hidden dense layers, if any, and the classifier.

    Dropout follows each hidden layer. Without hidden layers it drops features.

    Args:
      base: maps spectrograms to features `[batch, features]`.
      defaults, settings: give `head_units`, the width of the hidden layers, `dropout` and `l2`.
        A width of 0 leaves the hidden layers out.
      genres: number of classes.
      seed: decides the starting weights.
      hidden_layers: number of hidden layers.
    """
    units, l2 = defaults.head_units_of(settings), defaults.l2_of(settings)
    dropout = defaults.dropout_of(settings)
    x = features = keras.Input(base.output_shape[1:], name="features")
    if not units:
        hidden_layers = 0
        x = layers.Dropout(dropout, seed=seed, name="dropout")(x)
    for index in range(1, hidden_layers + 1):
        x = layers.Dense(
            units,
            activation="relu",
            kernel_initializer=keras.initializers.HeNormal(seed=seed + index),
            kernel_regularizer=keras.regularizers.L2(l2),
            name=f"fc{index}",
        )(x)
        x = layers.Dropout(dropout, seed=seed + index, name=f"dropout_{index}")(x)
    return keras.Model(features, classifier(x, genres, l2=l2, seed=seed), name="head")


def numbered(name: str, index: int) -> str:
    """Return a layer's name as TensorFlow 1 numbers layers of the same kind."""
    return f"{name}_{index}" if index else name
