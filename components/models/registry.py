"""Functions that build a network, or read its default settings, by its name. Light."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from types import ModuleType
from typing import TYPE_CHECKING

from components.audio.params import AudioParams
from components.models import architectures
from components.models.network import NetworkError

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
    """Build a network with its starting weights, the same for the same seed.

    Args:
      name: a key of architectures.NETWORKS.
      settings: the network's own table.
      n_mels, frames: shape of one spectrogram.
      genres: number of classes.
      seed: fixes the random starting weights; Keras's global state is seeded too.
      dtype_policy: Keras's name of the precision to compute in, such as "mixed_bfloat16".
        Weights, preprocessing, features and probabilities are float32 in each.

    Raises:
      ValueError: the name is unknown.
      components.models.network.NetworkError: the picture is too small for the network, or the
        spectrogram is not that of the network's front end.
      components.models.weights.WeightsError: `settings.weights` cannot be found, downloaded
        or loaded.
    """
    module = _module(name)
    _check_spectrogram(name, (n_mels, frames), settings)
    import keras

    keras.utils.set_random_seed(seed)
    with in_precision(dtype_policy):
        network: Network = module.build(
            settings, n_mels=n_mels, frames=frames, genres=genres, seed=seed
        )
    return network


@contextlib.contextmanager
def in_precision(dtype_policy: str) -> Iterator[None]:
    """Give layers that are made inside the block this policy, unless they name their own.

    This sets Keras's global policy for the block: layers of keras.applications take no other.
    """
    import keras

    outside = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype_policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(outside)


def defaults(name: str) -> Defaults:
    """Return the settings that an architecture recommends.

    Raises:
      ValueError: the name is unknown.
    """
    found: Defaults = _module(name).DEFAULTS
    return found


def _check_spectrogram(name: str, spectrogram: tuple[int, int], settings: ModelSettings) -> None:
    """Raise NetworkError for a spectrogram or a picture that the network cannot take.

    The picture must not be smaller than the network's base can halve it.
    """
    made = architectures.NETWORKS[name]
    if made.front_end:
        audio = AudioParams.of_front_end(made.front_end)
        if spectrogram != (audio.n_mels, audio.frames):
            raise NetworkError(
                f"{name} takes spectrograms of {audio.n_mels} mel bands x {audio.frames} frames, "
                f'not {spectrogram[0]} x {spectrogram[1]}: set audio.front_end = "{made.front_end}"'
            )
    smallest, side = made.min_side_pixels, settings.image_size_or(made.image_size)
    height, width = (side, side) if side else spectrogram
    if smallest and min(height, width) < smallest:
        raise NetworkError(
            f"{name} needs pictures of at least {smallest} pixels a side, not {height} x {width}: "
            f"set models.{name}.image_size = {smallest} or more"
        )


def _module(name: str) -> ModuleType:
    return importlib.import_module(architectures.of_name(name).module)
