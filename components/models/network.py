"""The interface of architectures: the network that each builds, and its default settings."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from components.common.errors import UsageError

if TYPE_CHECKING:
    import keras

    from components.models.settings import ModelSettings


class NetworkError(UsageError, ValueError):
    """Error of settings with which a network cannot be built. The message says what to set."""


@dataclasses.dataclass(frozen=True)
class Network:
    """Classifier of spectrograms, and the parts that its two phases train in turn.

    Attributes:
      base: maps `mel_db` to float32 features. It holds all preprocessing, which is exported
        with it. Weights files hold its layer "convolutions". None for networks without a base.
      head: maps features to probabilities; equal to `model` for networks without a base.
      model: maps `mel_db` float32 `[batch, n_mels, frames]` in dB to probabilities float32
        `[batch, genres]`: `head(base(mel_db))`, on the same layers.
      two_phase: whether the base starts from trained weights, and the head is trained first.
        On a random base a head alone would learn little.
    """

    base: keras.Model | None
    head: keras.Model
    model: keras.Model
    two_phase: bool

    @property
    def parameters(self) -> int:
        """Number of the model's weights, trained or not."""
        return int(self.model.count_params())


@dataclasses.dataclass(frozen=True)
class Defaults:
    """Recommended settings, for what neither the network's own table nor [training] sets.

    Attributes:
      dropout: share of units dropped in training, in [0, 1).
      l2: weight of the squared-weights penalty of each regularised layer.
      head_units: width of the hidden layers of a head; 0 for none.
      image_size: side in pixels of the picture that a trained base sees; 0 keeps the
        spectrogram's own size, as networks without trained weights do.
      learning_rate: rate of a new head on a trained base.
      scratch_learning_rate: rate of a whole network that starts from random weights.
      fine_tune_learning_rate: rate of a trained base in the second phase.
    """

    dropout: float
    l2: float = 0.0
    head_units: int = 0
    image_size: int = 0
    learning_rate: float = 1e-3
    scratch_learning_rate: float = 1e-3
    fine_tune_learning_rate: float = 1e-5

    def of_weights(self, weights: str) -> dict[str, float]:
        """Return the settings for a network that starts from `weights`, by their names."""
        scratch = weights == "none"
        return {
            "dropout": self.dropout,
            "l2": self.l2,
            "image_size": 0 if scratch else self.image_size,
            "head_units": self.head_units,
            "learning_rate": self.scratch_learning_rate if scratch else self.learning_rate,
            "fine_tune_learning_rate": self.fine_tune_learning_rate,
        }

    def dropout_of(self, settings: ModelSettings) -> float:
        """Return the share of units dropped in training, in [0, 1)."""
        return self.dropout if settings.dropout is None else settings.dropout

    def image_size_of(self, settings: ModelSettings) -> int:
        """Return the side of the picture in pixels, 0 for the spectrogram's own size."""
        return settings.image_size_or(self.image_size)

    def l2_of(self, settings: ModelSettings) -> float:
        """Return the weight of the squared-weights penalty of each regularised layer."""
        return self.l2 if settings.l2 is None else settings.l2

    def head_units_of(self, settings: ModelSettings) -> int:
        """Return the width of the hidden layers of a head; 0 for none."""
        return self.head_units if settings.head_units is None else settings.head_units


def single_phase(model: keras.Model) -> Network:
    """Return a network that trains as a whole."""
    return Network(base=None, head=model, model=model, two_phase=False)


def with_base(base: keras.Model, head: keras.Model, *, pretrained: bool) -> Network:
    """Return a network of two parts.

    If the base is `pretrained`, the network trains its head first and then its base, otherwise
    all of it at once.
    """
    import keras

    spectrogram: Any = keras.Input(base.input_shape[1:], name="mel_db")
    model = keras.Model(spectrogram, head(base(spectrogram)), name="model")
    return Network(base=base, head=head, model=model, two_phase=pretrained)
