"""Starting weights from safetensors files in timm's layout.

Every weight of the base must be in the file, with its shape. The file may hold no other key but
those of the original classifier. safetensors files hold plain arrays, so reading runs no code.
"""

from __future__ import annotations

import pathlib
import re

import keras
import numpy as np
import safetensors

from components.models import weights

# Keys outside the base: the classifier of ImageNet's 1,000 classes, and PyTorch's counters.
_LEFT_OUT = re.compile(r"(fc|classifier)\.(weight|bias)|.*\.num_batches_tracked")

# timm's names of a normalisation's weights, by Keras's.
_NORM = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def load(model: keras.Model, path: pathlib.Path, *, architecture: str) -> None:
    """Load a file's weights into `model`. If the file does not fit, nothing changes.

    Args:
      model: convolutions and batch normalisations with timm's names (`layer1.0.conv1`).
      path: the safetensors file.
      architecture: for messages.

    Raises:
      WeightsError: a key is missing, unknown or of another shape, a value is not finite,
        or the file is cut short.
    """
    wanted = {
        f"{layer.name}.{_NORM.get(variable.name, 'weight')}": (layer, variable)
        for layer in model.layers
        for variable in layer.weights
    }
    shapes = {
        key: [variable.shape[axis] for axis in _timm_axes(layer, variable)]
        for key, (layer, variable) in wanted.items()
    }
    try:
        with safetensors.safe_open(path, framework="numpy") as file:  # type: ignore[no-untyped-call]
            names = file.keys()
            held = {key: file.get_slice(key).get_shape() for key in names}
            weights.check_shapes(path, architecture, held, shapes, left_out=_LEFT_OUT)
            values = {key: file.get_tensor(key) for key in wanted}
    except (safetensors.SafetensorError, OSError, TypeError) as error:
        raise weights.WeightsError(
            f"{path}: not a complete safetensors file ({weights.first_line(error)}); it may be "
            "truncated. Download it again"
        ) from error
    weights.check_finite(path, values)
    for key, (layer, variable) in wanted.items():
        variable.assign(values[key].transpose(np.argsort(_timm_axes(layer, variable))))


def _timm_axes(layer: keras.layers.Layer, variable: keras.Variable) -> tuple[int, ...]:
    """Return the axes of Keras's variable in timm's order."""
    if len(variable.shape) != 4:
        return tuple(range(len(variable.shape)))
    # Keras has [height, width, channels, filters], and timm [filters, channels, height, width]. A
    # depthwise kernel has one filter for each channel: [channels, 1, height, width] in timm.
    depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
    return (2, 3, 0, 1) if depthwise else (3, 2, 0, 1)
