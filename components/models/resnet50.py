"""ResNet50 of keras.applications: bottleneck blocks (He et al., arXiv:1512.03385)."""

from __future__ import annotations

import keras
from keras import layers

from components.models import architectures, starting_weights
from components.models.blocks import NORM_MOMENTUM, dense_head
from components.models.network import Defaults, Network, with_base
from components.models.preprocessing import ImageNetCentre, picture, picture_shape
from components.models.settings import ModelSettings

DEFAULTS = Defaults(
    dropout=0.3,
    l2=0.0,
    image_size=architectures.IMAGENET_SIDE_PIXELS,
    scratch_learning_rate=1e-3,
    fine_tune_learning_rate=1e-4,
)


def build(settings: ModelSettings, *, n_mels: int, frames: int, genres: int, seed: int) -> Network:
    """Build ResNet50 on the coloured spectrogram, with features averaged over the picture.

    Raises:
      components.models.weights.WeightsError: the weights cannot be found, downloaded or loaded.
    """
    side = DEFAULTS.image_size_of(settings)
    shape = picture_shape(n_mels, frames, side)
    convolutions = keras.applications.ResNet50(
        include_top=False, weights=None, input_shape=shape, name="convolutions"
    )
    for layer in convolutions.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = NORM_MOMENTUM
    if settings.weights != "none":
        starting_weights.load(convolutions, settings.weights, architecture="resnet50")
    mel_db = keras.Input((n_mels, frames), name="mel_db")
    x = ImageNetCentre(name="centre")(picture(mel_db, side))
    features = layers.GlobalAveragePooling2D(dtype="float32", name="mean")(convolutions(x))
    base = keras.Model(mel_db, features, name="base")
    head = dense_head(base, DEFAULTS, settings, genres=genres, seed=seed)
    return with_base(base, head, pretrained=settings.weights != "none")
