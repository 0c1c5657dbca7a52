"""Starting weights from safetensors files in timm's layout.

Every weight of the base must be in the file, with its shape. The file may hold no other key but
those of the original classifier. safetensors files hold plain arrays, so reading runs no code.
"""

from __future__ import annotations

import pathlib
import re
from typing import Any

import keras
import numpy as np
import safetensors

from components.models.weights import WeightsError, first_line, mismatch

SUFFIX = ".safetensors"

# Keys outside the base: the classifier of ImageNet's 1,000 classes, and PyTorch's counters.
_LEFT_OUT = re.compile(r"fc\.(weight|bias)|.*\.num_batches_tracked")

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
      model: convolutions and batch normalisations with timm's names, in which "_" stands for
        "." (`layer1_0_conv1` is `layer1.0.conv1`).
      path: the safetensors file.
      architecture: for messages.

    Raises:
      WeightsError: a key is missing, unknown or of another shape, a value is not finite,
        or the file is cut short.
    """
    wanted = {}
    for layer in model.layers:
        for variable in layer.weights:
            wanted[_timm_key(layer.name, variable.name)] = variable
    try:
        with safetensors.safe_open(path, framework="numpy") as file:  # type: ignore[no-untyped-call]
            names = set(file.keys())
            missing = sorted(wanted.keys() - names)
            unknown = sorted(n for n in names - wanted.keys() if not _LEFT_OUT.fullmatch(n))
            if missing or unknown:
                raise WeightsError(mismatch(path, architecture, _difference(missing, unknown)))
            values = {key: _to_keras(file.get_tensor(key)) for key in wanted}
    except (safetensors.SafetensorError, OSError, TypeError) as error:
        raise WeightsError(
            f"{path}: not a complete safetensors file ({first_line(error)}); it may be truncated. "
            "Download it again"
        ) from error
    for key, variable in wanted.items():
        if values[key].shape != tuple(variable.shape):
            why = f"{key} has shape {_timm_shape(values[key])}, not {_timm_shape(variable)}"
            raise WeightsError(mismatch(path, architecture, why))
        if not np.isfinite(values[key]).all():
            raise WeightsError(f"{path}: {key} holds values that are not finite")
    for key, variable in wanted.items():
        variable.assign(values[key])


def _timm_key(layer: str, weight: str) -> str:
    return f"{layer.replace('_', '.')}.{_NORM.get(weight, 'weight')}"


def _to_keras(values: Any) -> Any:
    # timm's kernels are [filters, channels, height, width].
    return values.transpose(2, 3, 1, 0) if values.ndim == 4 else values


def _timm_shape(values: Any) -> list[int]:
    shape = list(values.shape)
    return [shape[3], shape[2], shape[0], shape[1]] if len(shape) == 4 else shape


def _difference(missing: list[str], unknown: list[str]) -> str:
    parts = []
    if missing:
        parts.append(f"it lacks {missing[0]}" + _more(missing))
    if unknown:
        parts.append(f"it holds {unknown[0]}" + _more(unknown))
    return " and ".join(parts)


def _more(names: list[str]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""
