"""Starting weights from TensorFlow 1 checkpoints, as the musicnn library ships them.

Every weight of the base must be in the checkpoint, with its shape. It may hold nothing else but
the original's last dense layer and an optimizer's state. Only arrays are read, no graph. The reader
is TensorFlow's, which is imported when there is a checkpoint to read.
"""

from __future__ import annotations

import math
import os
import pathlib
import re
from typing import Any

import keras

from components.models import weights
from components.models.published import CHECKPOINT_DATA

# Names outside the base: the dense layer that gives tags, which is `dense_1` in musicnn and `dense`
# in musicnn_vgg, and Adam's state.
_LEFT_OUT = re.compile(r"dense(_1)?/(kernel|bias)|beta[12]_power|.*/Adam(_1)?")


def load(model: keras.Model, path: pathlib.Path, *, architecture: str) -> None:
    """Load a checkpoint's weights into `model`. If the checkpoint does not fit, nothing changes.

    Args:
      model: layers with the checkpoint's names. The kernel of a one-dimensional convolution is
        `[steps, channels, 1, filters]` in the checkpoint.
      path: the checkpoint's folder.
      architecture: for messages.

    Raises:
      WeightsError: a weight is missing, unknown or of another shape, a value is not finite, or
        the checkpoint is damaged.
    """
    import tensorflow as tf

    wanted = {
        f"{layer.name}/{variable.name}": variable
        for layer in model.layers
        for variable in layer.weights
    }
    shapes = {name: _checkpoint_shape(variable) for name, variable in wanted.items()}
    try:
        reader = tf.compat.v1.train.NewCheckpointReader(os.path.join(path, ""))
        held = reader.get_variable_to_shape_map()
        kinds = reader.get_variable_to_dtype_map()
        _check_size(path, sum(kinds[name].size * math.prod(held[name]) for name in held))
        weights.check_shapes(path, architecture, held, shapes, left_out=_LEFT_OUT)
        values = {name: reader.get_tensor(name) for name in wanted}
    except (tf.errors.OpError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise weights.WeightsError(
            f"{path}: not a complete TensorFlow checkpoint ({weights.first_line(error)}); it may "
            "be truncated or damaged. Download it again"
        ) from error
    weights.check_finite(path, values)
    for name, variable in wanted.items():
        variable.assign(values[name].reshape(variable.shape))


def _checkpoint_shape(variable: Any) -> list[int]:
    shape = list(variable.shape)
    return [*shape[:2], 1, shape[2]] if len(shape) == 3 else shape


def _check_size(path: pathlib.Path, claimed: int) -> None:
    """Raise ValueError if the data are shorter than the index says; not all of them are read."""
    held = (path / CHECKPOINT_DATA).stat().st_size
    if claimed > held:
        raise ValueError(f"{CHECKPOINT_DATA} has {held} bytes of {claimed}")
