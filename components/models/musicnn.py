"""musicnn: filters of the shapes of timbres and rhythms (Pons and Serra, arXiv:1909.06654).

Layers have the names of the musicnn library's checkpoints, so that these fit. The features are the
library's "penultimate" ones, followed by the pooled ones before them. The last dense layer, which
gives tags, is left out.
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

# Filters, and their length in frames and height in bands: tall ones for timbre, long ones for
# rhythm.
FRONT_END = ((204, 7, 38), (204, 7, 67), (51, 128, 1), (51, 64, 1), (51, 32, 1))
MID_END_LAYERS, MID_END_FILTERS, MID_END_FRAMES = 3, 64, 7
DENSE_UNITS = 200
# The pooled outputs are features too, because the dense layer kept only what its tags need. At this
# scale, chosen on validation folds, a head still learns mostly from the dense layer.
POOLED_SCALE = 0.1


def build(settings: ModelSettings, *, n_mels: int, frames: int, genres: int, seed: int) -> Network:
    """Build musicnn on spectrograms of the front end "musicnn".

    Raises:
      components.models.weights.WeightsError: the weights cannot be found, downloaded or loaded.
    """
    convolutions = _convolutions(n_mels, frames, seed)
    if settings.weights != "none":
        starting_weights.load(convolutions, settings.weights, architecture="musicnn")
    mel_db = keras.Input((n_mels, frames), name="mel_db")
    features = layers.Flatten(dtype="float32", name="flatten")(convolutions(musicnn_input(mel_db)))
    base = keras.Model(mel_db, features, name="base")
    head = dense_head(base, DEFAULTS, settings, genres=genres, seed=seed)
    return with_base(base, head, pretrained=settings.weights != "none")


def _convolutions(n_mels: int, frames: int, seed: int) -> keras.Model:
    """Return `[batch, frames, n_mels, 1]` to `[batch, features]`.

    The front end's five convolutions keep only each filter's maximum over the bands. Three
    convolutions over time follow, the second and third with a residual sum. The outputs of all
    four stages are pooled over the clip. The features are a dense layer's of these, and these.
    """
    levels = keras.Input((frames, n_mels, 1), name="levels")
    x = _norm(0)(levels)
    peaks = []
    for index, (filters, length, height) in enumerate(FRONT_END):
        before, after = (length - 1) // 2, length // 2
        y = layers.ZeroPadding2D(((before, after), (0, 0)), name=f"pad_{index}")(x)
        y = layers.Conv2D(
            filters,
            (length, height),
            activation="relu",
            kernel_initializer=keras.initializers.HeNormal(seed=seed + index),
            name=numbered("conv2d", index),
        )(y)
        y = _norm(index + 1)(y)
        y = layers.MaxPooling2D((1, y.shape[2]), name=f"peak_{index}")(y)
        peaks.append(layers.Reshape((frames, filters), name=f"over_time_{index}")(y))
    x = layers.Concatenate(name="front_end")(peaks)
    stages = [x]
    for index in range(len(FRONT_END), len(FRONT_END) + MID_END_LAYERS):
        y = layers.Conv1D(
            MID_END_FILTERS,
            MID_END_FRAMES,
            padding="same",
            activation="relu",
            kernel_initializer=keras.initializers.HeNormal(seed=seed + index),
            name=numbered("conv2d", index),
        )(x)
        y = _norm(index + 1)(y)
        x = layers.Add(name=f"sum_{index}")([x, y]) if len(stages) > 1 else y
        stages.append(x)
    x = layers.Concatenate(name="stages")(stages)
    pools = (layers.GlobalMaxPooling1D(name="peak"), layers.GlobalAveragePooling1D(name="mean"))
    # A channel's maximum and mean are neighbours.
    columns = [layers.Reshape((-1, 1), name=f"{pool.name}_column")(pool(x)) for pool in pools]
    x = layers.Flatten(name="pooled")(layers.Concatenate(name="peak_and_mean")(columns))
    pooled = _norm(9)(x)
    x = layers.Dense(
        DENSE_UNITS,
        activation="relu",
        kernel_initializer=keras.initializers.HeNormal(seed=seed + 100),
        name="dense",
    )(pooled)
    features = [_norm(10)(x), layers.Rescaling(POOLED_SCALE, name="scaled")(pooled)]
    return keras.Model(levels, layers.Concatenate(name="features")(features), name="convolutions")


def _norm(index: int) -> layers.BatchNormalization:
    name = numbered("batch_normalization", index)
    return layers.BatchNormalization(momentum=NORM_MOMENTUM, name=name)
