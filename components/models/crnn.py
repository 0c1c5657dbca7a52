"""A convolutional recurrent network: convolutions, then a GRU over time (arXiv:1609.04243)."""

from __future__ import annotations

import keras
from keras import layers

from components.models.blocks import classifier, convolution_block
from components.models.network import Defaults, Network, single_phase
from components.models.preprocessing import Standardise
from components.models.settings import ModelSettings
from components.models.weights import reject_weights

DEFAULTS = Defaults(dropout=0.4, l2=1e-4)

# Filters and pooling (mel bands, frames) of each block. Bands are pooled more than frames, so
# that a 2-second clip leaves the GRU about twenty steps of 0.1 s.
BLOCKS = ((32, (2, 2)), (64, (4, 2)), (96, (4, 1)), (96, (4, 1)))
UNITS = 64


def build(settings: ModelSettings, *, n_mels: int, frames: int, genres: int, seed: int) -> Network:
    """Build four convolution blocks over all bands, and the mean of a GRU over the frames.

    The GRU is bidirectional and unrolled. An unrolled graph runs on any server and backend,
    while a cuDNN kernel runs only on a GPU.

    Raises:
      components.models.weights.WeightsError: `settings.weights` is not "none".
    """
    reject_weights("crnn", settings.weights)
    dropout, l2 = DEFAULTS.dropout_of(settings), DEFAULTS.l2_of(settings)
    mel_db = keras.Input((n_mels, frames), name="mel_db")
    x = Standardise(name="standardise")(mel_db)
    x = layers.Reshape((n_mels, frames, 1), name="picture")(x)
    for index, (filters, pool) in enumerate(BLOCKS, start=1):
        x = convolution_block(x, index, filters, pool, l2=l2, seed=seed + index)
    _, bands, steps, filters = x.shape
    x = layers.Permute((2, 1, 3), name="time_first")(x)
    x = layers.Reshape((steps, bands * filters), name="sequence")(x)
    x = layers.Dropout(dropout / 2, seed=seed + 10, name="dropout_sequence")(x)
    gru = layers.GRU(
        UNITS,
        return_sequences=True,
        unroll=True,
        use_cudnn=False,
        kernel_initializer=keras.initializers.GlorotUniform(seed=seed + 11),
        recurrent_initializer=keras.initializers.Orthogonal(seed=seed + 12),
        kernel_regularizer=keras.regularizers.L2(l2),
        recurrent_regularizer=keras.regularizers.L2(l2),
        name="gru",
    )
    x = layers.Bidirectional(gru, name="both_ways")(x)
    x = layers.GlobalAveragePooling1D(name="features")(x)
    x = layers.Dropout(dropout, seed=seed, name="dropout")(x)
    probabilities = classifier(x, genres, l2=l2, seed=seed)
    return single_phase(keras.Model(mel_db, probabilities, name="crnn"))
