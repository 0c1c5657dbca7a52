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
    base: keras.Model, defaults: Defaults, settings: ModelSettings, *, genres: int, seed: int
) -> keras.Model:
    """Return a residual network's head: dropout and one dense layer on averaged features."""
    features = keras.Input(base.output_shape[1:], name="features")
    x = layers.Dropout(defaults.dropout_of(settings), seed=seed, name="dropout")(features)
    probabilities = classifier(x, genres, l2=defaults.l2_of(settings), seed=seed)
    return keras.Model(features, probabilities, name="head")
