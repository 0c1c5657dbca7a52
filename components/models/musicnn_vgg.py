"""The musicnn library's VGG: five 3 x 3 convolutions (Pons and Serra, arXiv:1909.06654).

Layers have the names of the library's checkpoints, so that these fit. The dense layer that gives
tags is left out.
"""

from __future__ import annotations

import keras
from keras import layers

from components.models import starting_weights
from components.models.blocks import NORM_MOMENTUM, dense_head, numbered
from components.models.network import Defaults, Network, with_base
from components.models.preprocessing import musicnn_input
from components.models.settings import ModelSettings

DEFAULTS = Defaults(
    dropout=0.7,
    l2=0.0,
    learning_rate=3e-3,
    scratch_learning_rate=1e-3,
    fine_tune_learning_rate=1e-4,
)

FILTERS = 128
# Size and stride of the pooling after each convolution, in frames and bands.
POOLING = (((4, 1), 2), ((2, 2), 2), ((2, 2), 2), ((2, 2), 2), ((4, 4), 4))


def build(settings: ModelSettings, *, n_mels: int, frames: int, genres: int, seed: int) -> Network:
    """Build the VGG on spectrograms of the front end "musicnn".

    Raises:
      components.models.weights.WeightsError: the weights cannot be found, downloaded or loaded.
    """
    convolutions = _convolutions(n_mels, frames, seed)
    if settings.weights != "none":
        starting_weights.load(convolutions, settings.weights, architecture="musicnn_vgg")
    mel_db = keras.Input((n_mels, frames), name="mel_db")
    features = layers.Flatten(dtype="float32", name="flatten")(convolutions(musicnn_input(mel_db)))
    base = keras.Model(mel_db, features, name="base")
    head = dense_head(base, DEFAULTS, settings, genres=genres, seed=seed)
    return with_base(base, head, pretrained=settings.weights != "none")


def _convolutions(n_mels: int, frames: int, seed: int) -> keras.Model:
    """Return `[batch, frames, n_mels, 1]` to `[batch, 2, 1, FILTERS]` for 187 frames, 96 bands."""
    levels = keras.Input((frames, n_mels, 1), name="levels")
    x = _norm(0)(levels)
    for index, (size, stride) in enumerate(POOLING, start=1):
        x = layers.Conv2D(
            FILTERS,
            3,
            padding="same",
            activation="relu",
            kernel_initializer=keras.initializers.HeNormal(seed=seed + index),
            name=f"{index}CNN",
        )(x)
        x = layers.MaxPooling2D(size, stride, name=f"pool_{index}")(_norm(index)(x))
    return keras.Model(levels, x, name="convolutions")


def _norm(index: int) -> layers.BatchNormalization:
    name = numbered("batch_normalization", index)
    return layers.BatchNormalization(momentum=NORM_MOMENTUM, name=name)
