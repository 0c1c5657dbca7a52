"""Values that a Tuner found, as a network's training takes them. Light."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from components.models.settings import ModelSettings

# What may be tuned, and the type of each; the names are those of ModelSettings' fields.
TUNABLE: Mapping[str, type] = {
    "learning_rate": float,
    "batch_size": int,
    "dropout": float,
    "l2": float,
}

Values = Mapping[str, float]


def tuned_values(hyperparameters: Mapping[str, Any] | None) -> dict[str, float]:
    """The values of a KerasTuner HyperParameters' configuration; {} without one.

    Raises:
      ValueError: it holds something else than numbers for some of TUNABLE.
    """
    if hyperparameters is None:
        return {}
    values = hyperparameters.get("values")
    if not isinstance(values, Mapping) or not values:
        raise ValueError(f"hyperparameters without values: {sorted(hyperparameters)}")
    for name, value in values.items():
        wanted = TUNABLE.get(name)
        right = isinstance(value, int if wanted is int else (int, float))
        if wanted is None or not right or isinstance(value, bool):
            raise ValueError(f"hyperparameters hold {name} = {value!r}")
    return {name: TUNABLE[name](values[name]) for name in TUNABLE if name in values}


def with_values(settings: ModelSettings, values: Values) -> ModelSettings:
    """A network's table with tuned values in it, where they win over [training]."""
    changes: dict[str, Any] = dict(values)
    return dataclasses.replace(settings, **changes)
