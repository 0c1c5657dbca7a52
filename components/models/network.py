"""What every architecture hands over, and what it leaves to its defaults."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from components.common.errors import UsageError

if TYPE_CHECKING:
    import keras

    from components.models.settings import ModelSettings


class NetworkError(UsageError, ValueError):
    """The settings ask for a network that cannot be built. The text says what to set."""


@dataclasses.dataclass(frozen=True)
class Network:
    """A classifier of spectrograms, and the parts that its two phases train in turn.

    `model`: `mel_db` float32 `[batch, n_mels, frames]` in dB to probabilities float32
    `[batch, genres]`; it is `head(base(mel_db))` on the same layers. `base` ends at the
    float32 features and holds all preprocessing, so that it is exported too; its layer
    "convolutions" is what weights files hold. Networks without a base have None, and their
    `head` is `model`. `two_phase`: the base starts from trained weights, so that the head
    is trained on it first; a random base would only be a filter that nobody chose.
    """

    base: keras.Model | None
    head: keras.Model
    model: keras.Model
    two_phase: bool

    @property
    def parameters(self) -> int:
        """How many weights the model has, trained or not."""
        return int(self.model.count_params())


@dataclasses.dataclass(frozen=True)
class Defaults:
    """The recommended settings: what holds where neither the network's own table nor
    [training] says otherwise.

    `learning_rate`: of a new head on a trained base; `fine_tune_learning_rate`: of that
    base; `scratch_learning_rate`: of a whole network that starts from random weights.
    """

    dropout: float
    l2: float = 0.0
    learning_rate: float = 1e-3
    scratch_learning_rate: float = 1e-3
    fine_tune_learning_rate: float = 1e-5

    def of_weights(self, weights: str) -> dict[str, float]:
        """Return the settings for a network that starts from `weights`, by their names."""
        scratch = weights == "none"
        return {
            "dropout": self.dropout,
            "l2": self.l2,
            "learning_rate": self.scratch_learning_rate if scratch else self.learning_rate,
            "fine_tune_learning_rate": self.fine_tune_learning_rate,
        }

    def dropout_of(self, settings: ModelSettings) -> float:
        """Share of units dropped in training, in [0, 1)."""
        return self.dropout if settings.dropout is None else settings.dropout

    def l2_of(self, settings: ModelSettings) -> float:
        """Weight of the squared-weights penalty of each regularised layer."""
        return self.l2 if settings.l2 is None else settings.l2


def single_phase(model: keras.Model) -> Network:
    """A network that trains as a whole."""
    return Network(base=None, head=model, model=model, two_phase=False)


def with_base(base: keras.Model, head: keras.Model, *, pretrained: bool) -> Network:
    """A network that trains its head first and then its base, if that is `pretrained`;
    otherwise as a whole."""
    import keras

    spectrogram: Any = keras.Input(base.input_shape[1:], name="mel_db")
    model = keras.Model(spectrogram, head(base(spectrogram)), name="model")
    return Network(base=base, head=head, model=model, two_phase=pretrained)
