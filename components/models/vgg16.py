"""VGG16: 13 convolutions and 3 dense layers (Simonyan & Zisserman, arXiv:1409.1556)."""

from __future__ import annotations

import math

import keras
from keras import layers

from components.models import architectures, starting_weights
from components.models.blocks import dense_head
from components.models.network import Defaults, Network, with_base
from components.models.preprocessing import ImageNetCentre, picture, picture_shape
from components.models.settings import ModelSettings

DEFAULTS = Defaults(
    dropout=0.5,
    l2=0.0,
    image_size=architectures.IMAGENET_SIDE_PIXELS,
    head_units=architectures.VGG16_HEAD.units,
    scratch_learning_rate=1e-4,
    fine_tune_learning_rate=1e-5,
)

# Deviation of centred pixels. Without pre-trained weights the first kernel is divided by it, so
# that signals keep a deviation of about 1 throughout.
PIXEL_DEVIATION = 64.0


def build(settings: ModelSettings, *, n_mels: int, frames: int, genres: int, seed: int) -> Network:
    """Build VGG16 on the coloured spectrogram: convolutions (base) and dense layers (head).

    Raises:
      components.models.weights.WeightsError: the weights cannot be found, downloaded or loaded.
    """
    side = DEFAULTS.image_size_of(settings)
    shape = picture_shape(n_mels, frames, side)
    convolutions = keras.applications.VGG16(
        include_top=False, weights=None, input_shape=shape, name="convolutions"
    )
    if settings.weights == "none":
        _draw(convolutions, seed)
    else:
        starting_weights.load(convolutions, settings.weights, architecture="vgg16")
    mel_db = keras.Input((n_mels, frames), name="mel_db")
    features = convolutions(ImageNetCentre(name="centre")(picture(mel_db, side)))
    base = keras.Model(
        mel_db, layers.Flatten(dtype="float32", name="flatten")(features), name="base"
    )
    hidden = architectures.VGG16_HEAD.hidden_layers
    head = dense_head(base, DEFAULTS, settings, genres=genres, seed=seed, hidden_layers=hidden)
    return with_base(base, head, pretrained=settings.weights != "none")


def _draw(convolutions: keras.Model, seed: int) -> None:
    """Draw normal kernels, each filter with mean zero, scaled to keep deviations of about 1.

    With plain He initialisation (arXiv:1502.01852) the part that all pictures share grows
    through 13 ReLU layers, until their features are nearly equal (correlation 0.96 at 32 pixels)
    and a head on the frozen base learns nothing. Filters of mean zero cancel that part (0.58).
    A rectified standard normal signal has a variance of 1/2 - 1/(2 pi).
    """
    remaining = 0.5 - 0.5 / math.pi
    kernels = [layer.kernel for layer in convolutions.layers if isinstance(layer, layers.Conv2D)]
    for index, kernel in enumerate(kernels):
        draw = keras.random.normal(kernel.shape, seed=seed + index)
        draw = draw - keras.ops.mean(draw, axis=(0, 1, 2), keepdims=True)
        variance = PIXEL_DEVIATION**2 if index == 0 else remaining
        kernel.assign(draw / math.sqrt(variance * math.prod(kernel.shape[:-1])))
