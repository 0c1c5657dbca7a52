"""The space that a search draws from, and the values drawn there."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from components.trainer.tuned import TUNABLE, Values
from components.tuner.settings import TuningSettings

# Training uses the value that is shown; three digits are finer than any search.
SIGNIFICANT_DIGITS = 3


@dataclasses.dataclass(frozen=True)
class Space:
    """The settings to search for, in TUNABLE's order.

    Attributes:
      ranges: lowest and highest value by name.
      choices: the values to choose from by name, ascending.
    """

    ranges: Mapping[str, tuple[float, float]]
    choices: Mapping[str, tuple[int, ...]]

    @classmethod
    def of(cls, settings: TuningSettings) -> Space:
        """Return the space of a [tuning] table.

        Raises:
          ValueError: the table has no range.
        """
        if not settings.tuned():
            raise ValueError("nothing to choose from: no parameter has a range")
        values = {name: getattr(settings, name) for name in settings.tuned()}
        return cls(
            ranges={
                name: (found[0], found[1])
                for name, found in values.items()
                if TUNABLE[name].kind is float
            },
            # Ascending, because KerasTuner takes neighbours in the list to be similar.
            choices={
                name: tuple(sorted(found))
                for name, found in values.items()
                if TUNABLE[name].kind is int
            },
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the settings, in TUNABLE's order."""
        return tuple(name for name in TUNABLE if name in self.ranges or name in self.choices)

    def rounded(self, drawn: Mapping[str, Any]) -> dict[str, float]:
        """Return the values to use for drawn ones: few digits, and within the ranges."""
        values: dict[str, float] = {}
        for name in self.names:
            if name in self.choices:
                values[name] = int(drawn[name])
            else:
                lowest, highest = self.ranges[name]
                values[name] = min(max(_rounded(float(drawn[name])), lowest), highest)
        return values

    def holds(self, values: Values) -> bool:
        """Return whether a trial in this space can have these values."""
        if set(values) != set(self.names):
            return False
        return all(
            values[name] in self.choices[name]
            if name in self.choices
            else self.ranges[name][0] <= values[name] <= self.ranges[name][1]
            for name in self.names
        )

    def hyperparameters(self) -> Any:
        """Return the space as KerasTuner's HyperParameters."""
        import keras_tuner

        found = keras_tuner.HyperParameters()
        for name in self.names:
            if name in self.choices:
                found.Choice(name, list(self.choices[name]), ordered=True)
            else:
                lowest, highest = self.ranges[name]
                sampling = "log" if TUNABLE[name].logarithmic else "linear"
                found.Float(name, lowest, highest, sampling=sampling)
        return found

    def to_json(self) -> dict[str, list[float]]:
        """Return each setting's [lowest, highest], or its choices."""
        return {name: list((self.ranges | self.choices)[name]) for name in self.names}  # type: ignore[operator]


def as_hyperparameters(space: Space, values: Values) -> dict[str, Any]:
    """Return the configuration of KerasTuner's HyperParameters with these values.

    TFX's own Tuner writes this, and TFX's Trainer hands it to run_fn.
    """
    found = space.hyperparameters()
    found.values = dict(values)
    config: dict[str, Any] = found.get_config()
    return config


def _rounded(value: float) -> float:
    if value == 0:
        return 0.0
    digits = SIGNIFICANT_DIGITS - 1 - math.floor(math.log10(abs(value)))
    return round(value, digits)
