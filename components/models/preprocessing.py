"""Layers that turn spectrograms into the input of networks, inside the graph.

They use Keras alone, so that they train on any backend and are exported with the model. All
compute in float32 whatever the network's precision is: bfloat16 would round levels near -80 dB
to half a dB.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import layers, ops

from components.audio.front_ends.front_end import DYNAMIC_RANGE_DB
from components.audio.spectrogram.colours import STEPS, STEPS_PER_DB, VIRIDIS

# Blue, green and red means of ImageNet's training pictures in 0..255. The original VGG networks
# (Simonyan & Zisserman, arXiv:1409.1556) and Keras's ResNet v1 subtract them.
IMAGENET_MEAN_BGR = (103.939, 116.779, 123.68)

# Mean and deviation of pixels in 0..1, which weights trained with PyTorch expect (torchvision,
# timm).
IMAGENET_MEAN_RGB = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION_RGB = (0.229, 0.224, 0.225)

# Added to a clip's variance, in dB^2. Silence has 0, music 100 to 400.
MIN_VARIANCE_DB = 1e-3


class _InFloat32(keras.layers.Layer):  # type: ignore[misc]
    """Layer whose default dtype is float32."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})


@keras.saving.register_keras_serializable("genreflow")
class Standardise(_InFloat32):
    """Layer that scales each clip of `mel_db` `[batch, n_mels, frames]` to mean 0, deviation 1.

    Decibels are relative to the clip's peak, which one loud moment decides. The result does not
    depend on that peak. A clip of one level throughout becomes 0.
    """

    def call(self, mel_db: Any) -> Any:
        centred = mel_db - ops.mean(mel_db, axis=(1, 2), keepdims=True)
        variance = ops.mean(ops.square(centred), axis=(1, 2), keepdims=True)
        return centred * ops.rsqrt(variance + MIN_VARIANCE_DB)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape


@keras.saving.register_keras_serializable("genreflow")
class ColourMap(_InFloat32):
    """Layer that colours `mel_db` `[batch, n_mels, frames]`: `[batch, n_mels, frames, 3]`.

    The pictures are float32 whole numbers 0..255, equal to those of
    components.audio.spectrogram.colours.to_rgb: viridis, low frequencies at the bottom.
    """

    def call(self, mel_db: Any) -> Any:
        steps = ops.floor((ops.cast(mel_db, "float32") + DYNAMIC_RANGE_DB) * float(STEPS_PER_DB))
        index = ops.cast(ops.clip(steps, 0, STEPS - 1), "int32")
        table = ops.convert_to_tensor(VIRIDIS.astype(np.float32))
        return ops.take(table, ops.flip(index, axis=1), axis=0)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape, 3)


@keras.saving.register_keras_serializable("genreflow")
class ResizePicture(_InFloat32):
    """Layer that resizes pictures `[batch, height, width, channels]` to squares.

    Bilinear, and antialiased when it shrinks, with the values of keras.ops.image.resize. It
    computes two matrix products, because XLA cannot compile TensorFlow's own operation.
    """

    def __init__(self, side_pixels: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.side_pixels = side_pixels

    def call(self, pictures: Any) -> Any:
        _, height, width, _ = pictures.shape
        rows = ops.convert_to_tensor(_resampling(height, self.side_pixels))
        columns = ops.convert_to_tensor(_resampling(width, self.side_pixels))
        return ops.einsum("qw,bpwc->bpqc", columns, ops.einsum("ph,bhwc->bpwc", rows, pictures))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (input_shape[0], self.side_pixels, self.side_pixels, input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "side_pixels": self.side_pixels}


@keras.saving.register_keras_serializable("genreflow")
class ImageNetCentre(_InFloat32):
    """Layer of VGG's preprocessing: RGB 0..255 to BGR minus IMAGENET_MEAN_BGR, not scaled."""

    def call(self, pictures: Any) -> Any:
        mean = ops.convert_to_tensor(np.asarray(IMAGENET_MEAN_BGR, np.float32))
        return ops.flip(pictures, axis=-1) - mean

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape


@keras.saving.register_keras_serializable("genreflow")
class ImageNetStandard(_InFloat32):
    """Layer of PyTorch's preprocessing: RGB 0..255 to mean 0 and deviation 1 on ImageNet."""

    def call(self, pictures: Any) -> Any:
        mean = ops.convert_to_tensor(255 * np.asarray(IMAGENET_MEAN_RGB, np.float32))
        deviation = ops.convert_to_tensor(255 * np.asarray(IMAGENET_DEVIATION_RGB, np.float32))
        return (pictures - mean) / deviation

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape


def _resampling(length: int, wanted: int) -> npt.NDArray[np.float32]:
    """Return the matrix that resamples `length` values to `wanted`: float32 `[wanted, length]`.

    Each row sums to 1 and is a triangle over the neighbours of a sample's centre. When the
    picture shrinks, the triangle is as much wider, which is the antialiasing.
    """
    scale = length / wanted
    centres = (np.arange(wanted) + 0.5) * scale - 0.5
    distances = np.abs(centres[:, np.newaxis] - np.arange(length)) / max(scale, 1.0)
    weights = np.maximum(0.0, 1.0 - distances)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


def musicnn_input(mel_db: Any) -> Any:
    """Return levels of the front end "musicnn" as its networks were trained on them.

    Args:
      mel_db: float32 `[batch, n_mels, frames]`, 10 log10(10000 S + 1) - 80 of a mel power S.

    Returns:
      log10(10000 S + 1), float32 `[batch, frames, n_mels, 1]`.
    """
    _, n_mels, frames = mel_db.shape
    x = layers.Rescaling(0.1, DYNAMIC_RANGE_DB / 10, dtype="float32", name="logarithm")(mel_db)
    x = layers.Permute((2, 1), dtype="float32", name="time_first")(x)
    return layers.Reshape((frames, n_mels, 1), dtype="float32", name="one_channel")(x)


def picture_shape(n_mels: int, frames: int, image_size: int) -> tuple[int, int, int]:
    """Return height, width and channels of the picture that a network's base sees."""
    return (image_size, image_size, 3) if image_size else (n_mels, frames, 3)


def picture(mel_db: Any, image_size: int) -> Any:
    """Return `mel_db` coloured and, for `image_size` > 0, resized; both are Keras tensors."""
    coloured = ColourMap(name="colour_map")(mel_db)
    return ResizePicture(image_size, name="resize")(coloured) if image_size else coloured
