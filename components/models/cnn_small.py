"""A compact convolutional network that trains in seconds."""

from __future__ import annotations

import keras
from keras import layers

from components.models.blocks import NORM_MOMENTUM, classifier, convolution_block
from components.models.network import Defaults, Network, single_phase
from components.models.preprocessing import Standardise
from components.models.settings import ModelSettings
from components.models.weights import reject_weights

DEFAULTS = Defaults(dropout=0.5, l2=1e-4)

# Filters and pooling (mel bands, frames) of each block. With 512-sample hops at 22,050 Hz the
# last block sees about a second, which is long enough for a beat.
BLOCKS = ((16, (2, 2)), (32, (2, 2)), (64, (2, 2)), (96, (2, 1)))


def build(settings: ModelSettings, *, n_mels: int, frames: int, genres: int, seed: int) -> Network:
    """Build four convolution blocks, then each filter's mean and peak over the clip, by band.

    Pooling over all frames hides when in the clip something happens. The bands stay apart,
    because a low sound is not a high one.

    Raises:
      components.models.weights.WeightsError: `settings.weights` is not "none".
    """
    reject_weights("cnn_small", settings.weights)
    dropout, l2 = DEFAULTS.dropout_of(settings), DEFAULTS.l2_of(settings)
    mel_db = keras.Input((n_mels, frames), name="mel_db")
    x = Standardise(name="standardise")(mel_db)
    x = layers.Reshape((n_mels, frames, 1), name="picture")(x)
    for index, (filters, pool) in enumerate(BLOCKS, start=1):
        x = convolution_block(x, index, filters, pool, l2=l2, seed=seed + index)
    whole_clip = (1, x.shape[2])
    mean = layers.AveragePooling2D(whole_clip, name="mean")(x)
    peak = layers.MaxPooling2D(whole_clip, name="peak")(x)
    x = layers.Flatten(name="features")(layers.Concatenate(name="mean_and_peak")([mean, peak]))
    # Peaks are several times the means. Without this the first epochs only shrink them.
    x = layers.BatchNormalization(momentum=NORM_MOMENTUM, name="norm_features")(x)
    x = layers.Dropout(dropout, seed=seed, name="dropout")(x)
    probabilities = classifier(x, genres, l2=l2, seed=seed)
    return single_phase(keras.Model(mel_db, probabilities, name="cnn_small"))
