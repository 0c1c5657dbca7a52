"""The settings that a Tuner can search for, and the values that it found. Light."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from components.models.settings import ModelSettings


@dataclasses.dataclass(frozen=True)
class Tunable:
    """A setting that can be searched for.

    Attributes:
      kind: float for a value within a range, int for one of a list.
      label: its name in plots.
      short_label: its name in narrow columns.
      logarithmic: whether a range is searched on a logarithmic scale.
    """

    kind: type[float] | type[int]
    label: str
    short_label: str
    logarithmic: bool = False


# Keys are fields of ModelSettings and TuningSettings. The order is that of tables and plots.
TUNABLE: Mapping[str, Tunable] = {
    "learning_rate": Tunable(float, "learning rate", "rate", logarithmic=True),
    "batch_size": Tunable(int, "batch size", "batch"),
    "dropout": Tunable(float, "dropout", "dropout"),
    "l2": Tunable(float, "L2", "L2", logarithmic=True),
}

# Values of tunable settings, by name.
Values = Mapping[str, float]


def tuned_values(hyperparameters: Mapping[str, Any] | None) -> dict[str, float]:
    """Return the values in the configuration of KerasTuner's HyperParameters; {} without one.

    Raises:
      ValueError: it holds no values, an unknown name or a value of another type.
    """
    if hyperparameters is None:
        return {}
    values = hyperparameters.get("values")
    if not isinstance(values, Mapping) or not values:
        raise ValueError(f"hyperparameters without values: {sorted(hyperparameters)}")
    for name, value in values.items():
        tunable = TUNABLE.get(name)
        types = (int, float) if tunable is not None and tunable.kind is float else int
        if tunable is None or not isinstance(value, types) or isinstance(value, bool):
            raise ValueError(f"hyperparameters hold {name} = {value!r}")
    return {name: tunable.kind(values[name]) for name, tunable in TUNABLE.items() if name in values}


def with_tuned_values(settings: ModelSettings, values: Values) -> ModelSettings:
    """Return a network's table with tuned values in it, where they win over [training]."""
    changes: dict[str, Any] = dict(values)
    return dataclasses.replace(settings, **changes)
