"""The networks by name. Light: the architectures, and Keras, are imported when built.

An architecture is one file with `build` and `DEFAULTS`, and one line here.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from types import ModuleType
from typing import TYPE_CHECKING

from components.models.architectures import NETWORKS

if TYPE_CHECKING:
    from components.models.network import Defaults, Network
    from components.models.settings import ModelSettings


def build(
    name: str,
    settings: ModelSettings,
    *,
    n_mels: int,
    frames: int,
    genres: int,
    seed: int,
    dtype_policy: str = "float32",
) -> Network:
    """Builds a network with its starting weights, the same for the same seed.

    Args:
      name: a key of NETWORKS.
      settings: the network's own table.
      n_mels, frames: shape of one spectrogram.
      genres: number of classes.
      seed: fixes the random starting weights; Keras's global state is seeded too.
      dtype_policy: Keras's name of the precision that it computes in ("mixed_bfloat16").
        Weights, preprocessing, features and probabilities are float32 in each.

    Raises:
      ValueError: an unknown name.
      components.models.network.NetworkError: a picture that the network cannot take.
      components.models.weights.WeightsError: `settings.weights` cannot be had or loaded.
    """
    module = _module(name)
    import keras

    keras.utils.set_random_seed(seed)
    with in_precision(dtype_policy):
        network: Network = module.build(
            settings, n_mels=n_mels, frames=frames, genres=genres, seed=seed
        )
    return network


@contextlib.contextmanager
def in_precision(dtype_policy: str) -> Iterator[None]:
    """Layers that are made inside it have the policy, unless they name their own.

    Keras's global one for that long: layers of keras.applications take it from nowhere else.
    """
    import keras

    outside = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype_policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(outside)


def defaults(name: str) -> Defaults:
    """What the architecture uses where neither its table nor [training] says."""
    found: Defaults = _module(name).DEFAULTS
    return found


def _module(name: str) -> ModuleType:
    if name not in NETWORKS:
        raise ValueError(f"unknown network {name!r}; there are: {', '.join(sorted(NETWORKS))}")
    return importlib.import_module(NETWORKS[name].module)
