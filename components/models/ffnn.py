"""Feed-forward network of three dense layers, with dropout after the first two."""

from __future__ import annotations

import keras
from keras import layers

from components.models.blocks import classifier
from components.models.network import Defaults, Network, single_phase
from components.models.preprocessing import Standardise
from components.models.settings import ModelSettings
from components.models.weights import reject_weights

DEFAULTS = Defaults(dropout=0.5, l2=0.0)
HIDDEN_UNITS = (512, 256)


def build(settings: ModelSettings, *, n_mels: int, frames: int, genres: int, seed: int) -> Network:
    """Build dense layers of 512, 256 and `genres` units on the standardised spectrogram.

    Raises:
      components.models.weights.WeightsError: `settings.weights` is not "none".
    """
    reject_weights("ffnn", settings.weights)
    dropout, l2 = DEFAULTS.dropout_of(settings), DEFAULTS.l2_of(settings)
    mel_db = keras.Input((n_mels, frames), name="mel_db")
    x = Standardise(name="standardise")(mel_db)
    x = layers.Flatten(name="flatten")(x)
    for index, units in enumerate(HIDDEN_UNITS, start=1):
        x = layers.Dense(
            units,
            activation="relu",
            kernel_initializer=keras.initializers.HeNormal(seed=seed + index),
            kernel_regularizer=keras.regularizers.L2(l2),
            name=f"dense_{index}",
        )(x)
        x = layers.Dropout(dropout, seed=seed + index, name=f"dropout_{index}")(x)
    probabilities = classifier(x, genres, l2=l2, seed=seed)
    return single_phase(keras.Model(mel_db, probabilities, name="ffnn"))
