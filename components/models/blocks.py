"""What several networks are made of. Keras tensors in, Keras tensors out."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from components.models.network import Defaults
from components.models.settings import ModelSettings

# A small corpus has few batches in an epoch, and Keras's 0.99 would lag behind them: until
# it has caught up, the network that is validated is not the one that was trained.
NORM_MOMENTUM = 0.9


def convolution_block(
    x: Any, index: int, filters: int, pool: tuple[int, int], *, l2: float, seed: int
) -> Any:
    """3 x 3 convolution, batch normalisation, ReLU and maximum over `pool` (bands, frames):
    `[batch, bands, frames, channels]` to `[batch, bands', frames', filters]`.

    `index` numbers the layers' names; `l2` weighs the kernel's penalty.
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
    # "same": spectrograms of a few bands or frames pass too.
    return layers.MaxPooling2D(pool, padding="same", name=f"pool_{index}")(x)


def classifier(x: Any, genres: int, *, l2: float, seed: int) -> Any:
    """Features `[batch, features]` to probabilities float32 `[batch, genres]`.

    In float32 whatever the network's precision is: few numbers, and the loss is of their
    logarithms.
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
    """Dropout and one dense layer: what residual networks have on their averaged features."""
    features = keras.Input(base.output_shape[1:], name="features")
    x = layers.Dropout(defaults.dropout_of(settings), seed=seed, name="dropout")(features)
    probabilities = classifier(x, genres, l2=defaults.l2_of(settings), seed=seed)
    return keras.Model(features, probabilities, name="head")
