"""ResNet34: residual blocks of two 3 x 3 convolutions (He et al., arXiv:1512.03385).

Keras has no ResNet34. Layers have timm's names, and weights of PyTorch and timm fit: padding is
symmetric, strides are in a block's first convolution, and normalisation has epsilon 1e-5.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from components.models import architectures, starting_weights
from components.models.blocks import NORM_MOMENTUM, Draw, dense_head
from components.models.network import Defaults, Network, with_base
from components.models.preprocessing import ImageNetStandard, picture, picture_shape
from components.models.settings import ModelSettings

DEFAULTS = Defaults(
    dropout=0.3,
    l2=0.0,
    image_size=architectures.IMAGENET_SIDE_PIXELS,
    scratch_learning_rate=1e-3,
    fine_tune_learning_rate=1e-4,
)

# Filters and blocks of each stage; every stage but the first halves the picture.
STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))
NORM_EPSILON = 1e-5


def build(settings: ModelSettings, *, n_mels: int, frames: int, genres: int, seed: int) -> Network:
    """Build ResNet34 on the coloured spectrogram, with features averaged over the picture.

    Raises:
      components.models.weights.WeightsError: the weights cannot be found, downloaded or loaded.
    """
    side = DEFAULTS.image_size_of(settings)
    shape = picture_shape(n_mels, frames, side)
    convolutions = _convolutions(shape, seed)
    if settings.weights != "none":
        starting_weights.load(convolutions, settings.weights, architecture="resnet34")
    mel_db = keras.Input((n_mels, frames), name="mel_db")
    x = ImageNetStandard(name="standardise")(picture(mel_db, side))
    features = layers.GlobalAveragePooling2D(dtype="float32", name="mean")(convolutions(x))
    base = keras.Model(mel_db, features, name="base")
    head = dense_head(base, DEFAULTS, settings, genres=genres, seed=seed)
    return with_base(base, head, pretrained=settings.weights != "none")


def _convolutions(shape: tuple[int, int, int], seed: int) -> keras.Model:
    pictures = keras.Input(shape, name="pictures")
    draw = Draw(seed)
    x = _convolution(pictures, 64, 7, 2, "conv1", draw)
    x = layers.ReLU(name="relu1")(_norm("bn1")(x))
    # Zeros do as well as minus infinity after a ReLU.
    x = layers.MaxPooling2D(3, 2, name="maxpool")(layers.ZeroPadding2D(1, name="maxpool_pad")(x))
    for stage, (filters, blocks) in enumerate(STAGES, start=1):
        for block in range(blocks):
            stride = 2 if stage > 1 and block == 0 else 1
            x = _block(x, filters, stride, f"layer{stage}.{block}", draw)
    return keras.Model(pictures, x, name="convolutions")


def _block(x: Any, filters: int, stride: int, name: str, draw: Draw) -> Any:
    shortcut = x
    x = _convolution(x, filters, 3, stride, f"{name}.conv1", draw)
    x = layers.ReLU(name=f"{name}.relu1")(_norm(f"{name}.bn1")(x))
    x = _convolution(x, filters, 3, 1, f"{name}.conv2", draw)
    # Each block begins as its shortcut (arXiv:1706.02677, section 5.1).
    x = _norm(f"{name}.bn2", gamma="zeros")(x)
    if stride > 1 or shortcut.shape[-1] != filters:
        shortcut = _convolution(shortcut, filters, 1, stride, f"{name}.downsample.0", draw)
        shortcut = _norm(f"{name}.downsample.1")(shortcut)
    return layers.ReLU(name=f"{name}.relu2")(layers.Add(name=f"{name}.add")([x, shortcut]))


def _convolution(x: Any, filters: int, size: int, stride: int, name: str, draw: Draw) -> Any:
    if size > 1:
        x = layers.ZeroPadding2D(size // 2, name=f"{name}.pad")(x)
    return layers.Conv2D(
        filters, size, stride, use_bias=False, kernel_initializer=draw(), name=name
    )(x)


def _norm(name: str, gamma: str = "ones") -> layers.BatchNormalization:
    return layers.BatchNormalization(
        momentum=NORM_MOMENTUM, epsilon=NORM_EPSILON, gamma_initializer=gamma, name=name
    )
