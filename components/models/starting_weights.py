"""Starting weights of a base, of whatever kind: published ones, our own, or another project's."""

from __future__ import annotations

import keras

from components.models import checkpoint_weights, timm_weights, weights
from components.models.published import SAFETENSORS_SUFFIX


def load(model: keras.Model, chosen: str, *, architecture: str) -> None:
    """Load a network's `weights` setting into the layers of its base.

    Args:
      model: the base's layer "convolutions".
      chosen: a path, or the name of published weights.
      architecture: the network's name.

    Raises:
      components.models.weights.WeightsError: the weights cannot be found, downloaded or loaded.
    """
    path = weights.obtain(chosen, architecture=architecture)
    if path.is_dir():
        loader = checkpoint_weights.load
    elif path.suffix == SAFETENSORS_SUFFIX:
        loader = timm_weights.load
    else:
        loader = weights.load
    loader(model, path, architecture=architecture)
