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
from components.models.weights import Pretrained, WeightsError, first_line, mismatch

SUFFIX = ".safetensors"

# Keys outside the base: the classifier of ImageNet's 1,000 classes, and PyTorch's counters.
_LEFT_OUT = re.compile(r"(fc|classifier)\.(weight|bias)|.*\.num_batches_tracked")

# timm's names of a normalisation's weights, by Keras's.
_NORM = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def obtain_and_load(
    model: keras.Model, chosen: str, pretrained: Pretrained, *, architecture: str
) -> None:
    """Load a network's `weights` setting: timm's file, or one that Keras wrote, such as our own.

    Args:
      model: see `load`.
      chosen: a path, or the name of published weights.
      pretrained: the file that the name means.
      architecture: for messages.

    Raises:
      WeightsError: the file cannot be found, downloaded or loaded.
    """
    suffixes = (*weights.KERAS_SUFFIXES, SUFFIX)
    path = weights.obtain(chosen, pretrained, architecture=architecture, suffixes=suffixes)
    loader = load if path.suffix == SUFFIX else weights.load
    loader(model, path, architecture=architecture)


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
    try:
        with safetensors.safe_open(path, framework="numpy") as file:  # type: ignore[no-untyped-call]
            names = set(file.keys())
            missing = sorted(wanted.keys() - names)
            unknown = sorted(n for n in names - wanted.keys() if not _LEFT_OUT.fullmatch(n))
            if missing or unknown:
                raise WeightsError(mismatch(path, architecture, _difference(missing, unknown)))
            values = {key: file.get_tensor(key) for key in wanted}
    except (safetensors.SafetensorError, OSError, TypeError) as error:
        raise WeightsError(
            f"{path}: not a complete safetensors file ({first_line(error)}); it may be truncated. "
            "Download it again"
        ) from error
    for key, (layer, variable) in wanted.items():
        expected = [variable.shape[axis] for axis in _timm_axes(layer, variable)]
        if list(values[key].shape) != expected:
            why = f"{key} has shape {list(values[key].shape)}, not {expected}"
            raise WeightsError(mismatch(path, architecture, why))
        if not np.isfinite(values[key]).all():
            raise WeightsError(f"{path}: {key} holds values that are not finite")
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


def _difference(missing: list[str], unknown: list[str]) -> str:
    parts = []
    if missing:
        parts.append(f"it lacks {missing[0]}" + _more(missing))
    if unknown:
        parts.append(f"it holds {unknown[0]}" + _more(unknown))
    return " and ".join(parts)


def _more(names: list[str]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""
