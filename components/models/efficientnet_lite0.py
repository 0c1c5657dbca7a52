"""EfficientNet-Lite0: inverted bottlenecks of depthwise convolutions, for processors.

EfficientNet's smallest network (Tan & Le, arXiv:1905.11946) with ReLU6 and without squeeze and
excitation. Layers have timm's names, so that weights of its `tf_efficientnet_lite0` fit. Padding is
TensorFlow's "same" and normalisation has epsilon 1e-3.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from components.models import architectures, starting_weights
from components.models.blocks import NORM_MOMENTUM, Draw, dense_head
from components.models.network import Defaults, Network, with_base
from components.models.preprocessing import picture, picture_shape
from components.models.settings import ModelSettings

DEFAULTS = Defaults(
    dropout=0.3,
    l2=0.0,
    image_size=architectures.IMAGENET_SIDE_PIXELS,
    scratch_learning_rate=1e-3,
    fine_tune_learning_rate=1e-4,
)

# Kernel, stride, expansion, filters and blocks of each stage; the stride is its first block's.
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
STEM_FILTERS = 32
FEATURES = 1280
NORM_EPSILON = 1e-3


def build(settings: ModelSettings, *, n_mels: int, frames: int, genres: int, seed: int) -> Network:
    """Build EfficientNet-Lite0 on the coloured spectrogram, its features averaged over the picture.

    Raises:
      components.models.weights.WeightsError: the weights cannot be found, downloaded or loaded.
    """
    side = DEFAULTS.image_size_of(settings)
    shape = picture_shape(n_mels, frames, side)
    convolutions = _convolutions(shape, seed)
    if settings.weights != "none":
        starting_weights.load(convolutions, settings.weights, architecture="efficientnet_lite0")
    mel_db = keras.Input((n_mels, frames), name="mel_db")
    # The pixels 0..255 as the weights expect them: (x - 127) / 128.
    scale = layers.Rescaling(1 / 128, -127 / 128, dtype="float32", name="scale")
    x = scale(picture(mel_db, side))
    features = layers.GlobalAveragePooling2D(dtype="float32", name="mean")(convolutions(x))
    base = keras.Model(mel_db, features, name="base")
    head = dense_head(base, DEFAULTS, settings, genres=genres, seed=seed)
    return with_base(base, head, pretrained=settings.weights != "none")


def _convolutions(shape: tuple[int, int, int], seed: int) -> keras.Model:
    pictures = keras.Input(shape, name="pictures")
    draw = Draw(seed)
    x = _convolution(pictures, STEM_FILTERS, "conv_stem", draw, size=3, stride=2)
    x = _relu6("relu1")(_norm("bn1")(x))
    for stage, (size, first_stride, expansion, filters, blocks) in enumerate(STAGES):
        for block in range(blocks):
            stride = first_stride if block == 0 else 1
            x = _block(x, filters, size, stride, expansion, f"blocks.{stage}.{block}", draw)
    x = _norm("bn2")(_convolution(x, FEATURES, "conv_head", draw))
    return keras.Model(pictures, _relu6("relu2")(x), name="convolutions")


def _block(
    x: Any, filters: int, size: int, stride: int, expansion: int, name: str, draw: Draw
) -> Any:
    """Apply an inverted bottleneck; with an expansion of 1 its first convolution is left out."""
    shortcut = x
    norms = iter((f"{name}.bn1", f"{name}.bn2", f"{name}.bn3"))
    projection = "conv_pw" if expansion == 1 else "conv_pwl"
    if expansion > 1:
        x = _convolution(x, expansion * x.shape[-1], f"{name}.conv_pw", draw)
        x = _relu6(f"{name}.relu1")(_norm(next(norms))(x))
    x = layers.DepthwiseConv2D(
        size,
        stride,
        padding="same",
        use_bias=False,
        depthwise_initializer=draw(),
        name=f"{name}.conv_dw",
    )(x)
    x = _relu6(f"{name}.relu2")(_norm(next(norms))(x))
    x = _norm(next(norms))(_convolution(x, filters, f"{name}.{projection}", draw))
    if stride > 1 or shortcut.shape[-1] != filters:
        return x
    return layers.Add(name=f"{name}.add")([x, shortcut])


def _convolution(
    x: Any, filters: int, name: str, draw: Draw, *, size: int = 1, stride: int = 1
) -> Any:
    return layers.Conv2D(
        filters,
        size,
        stride,
        padding="same",
        use_bias=False,
        kernel_initializer=draw(),
        name=name,
    )(x)


def _norm(name: str) -> layers.BatchNormalization:
    return layers.BatchNormalization(momentum=NORM_MOMENTUM, epsilon=NORM_EPSILON, name=name)


def _relu6(name: str) -> layers.ReLU:
    return layers.ReLU(max_value=6, name=name)
