"""The classifier on a base's features."""

from __future__ import annotations

import keras
from keras import layers

from components.models.blocks import classifier
from components.models.network import Defaults
from components.models.settings import ModelSettings


def dense_head(
    base: keras.Model, defaults: Defaults, settings: ModelSettings, *, genres: int, seed: int
) -> keras.Model:
    """Dropout and one dense layer: what residual networks have on their averaged features."""
    features = keras.Input(base.output_shape[1:], name="features")
    x = layers.Dropout(defaults.dropout_of(settings), seed=seed, name="dropout")(features)
    probabilities = classifier(x, genres, l2=defaults.l2_of(settings), seed=seed)
    return keras.Model(features, probabilities, name="head")
