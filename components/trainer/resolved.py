"""Settings of one network's training, resolved from its own table and the shared ones. Light."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from components.models.settings import ModelSettings
from components.trainer.devices import Gpu, dtype_policy
from components.trainer.settings import TrainingSettings

if TYPE_CHECKING:
    from components.models.network import Defaults


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResolvedSettings(TrainingSettings, ModelSettings):
    """Every field of TrainingSettings and ModelSettings, each with a value.

    Attributes:
      learning_rate: highest rate of the first phase, which trains the head or a whole network.
      precision: Keras's name of a dtype policy ("float32", "mixed_bfloat16", ...).
    """

    learning_rate: float
    fine_tune_learning_rate: float
    head_units: int
    image_size: int
    dropout: float
    l2: float
    precision: str  # type: ignore[assignment]

    def to_json(self) -> dict[str, Any]:
        """Return the settings as plain values."""
        return dataclasses.asdict(self)


def resolve(
    training: TrainingSettings,
    model: ModelSettings,
    defaults: Defaults,
    gpus: Sequence[Gpu] = (),
) -> ResolvedSettings:
    """Return each setting from the first of three places that has a value for it.

    Args:
      training: the [training] table, the second place.
      model: the network's own table, the first place.
      defaults: the architecture's, the third place.
      gpus: those that will train; they decide the precision.
    """
    values: dict[str, Any] = defaults.of_weights(model.weights)
    for table in (training, model):
        # Nested tables stay dataclasses, unlike by asdict. 0 is a value, None is not.
        fields = {field.name: getattr(table, field.name) for field in dataclasses.fields(table)}
        values |= {name: value for name, value in fields.items() if value is not None}
    return ResolvedSettings(**{**values, "precision": dtype_policy(training.precision, gpus)})
