"""What a search may choose from, and the values that it draws there."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from components.trainer.tuned import Values
from components.tuner.settings import PARAMETERS, TuningSettings

# What is shown is what is used: three digits are finer than any search.
SIGNIFICANT_DIGITS = 3
LOGARITHMIC = ("learning_rate", "l2")


@dataclasses.dataclass(frozen=True)
class Space:
    """The parameters to choose, in PARAMETERS' order: `ranges` by lowest and highest value,
    and `choices` by the values themselves, ascending."""

    ranges: Mapping[str, tuple[float, float]]
    choices: Mapping[str, tuple[int, ...]]

    @classmethod
    def of(cls, settings: TuningSettings) -> Space:
        """That of a [tuning] table. Raises ValueError if it gives no range at all."""
        if not settings.tuned():
            raise ValueError("nothing to choose from: no parameter has a range")
        ranges = {
            name: (getattr(settings, name)[0], getattr(settings, name)[1])
            for name in settings.tuned()
            if name != "batch_size"
        }
        # Ascending, as KerasTuner takes neighbours in the list for alike.
        sizes = tuple(sorted(settings.batch_size))
        return cls(ranges, {"batch_size": sizes} if sizes else {})

    @property
    def names(self) -> tuple[str, ...]:
        """Of the parameters, in PARAMETERS' order."""
        return tuple(name for name in PARAMETERS if name in self.ranges or name in self.choices)

    def rounded(self, drawn: Mapping[str, Any]) -> dict[str, float]:
        """The values to use for what was drawn: short enough to be typed, within the ranges."""
        values: dict[str, float] = {}
        for name in self.names:
            if name in self.choices:
                values[name] = int(drawn[name])
            else:
                lowest, highest = self.ranges[name]
                values[name] = min(max(_short(float(drawn[name])), lowest), highest)
        return values

    def holds(self, values: Values) -> bool:
        """Whether a trial in this space can have these values."""
        if set(values) != set(self.names):
            return False
        return all(
            values[name] in self.choices[name]
            if name in self.choices
            else self.ranges[name][0] <= values[name] <= self.ranges[name][1]
            for name in self.names
        )

    def hyperparameters(self) -> Any:
        """The space as KerasTuner's HyperParameters."""
        import keras_tuner

        found = keras_tuner.HyperParameters()
        for name in self.names:
            if name in self.choices:
                found.Choice(name, list(self.choices[name]), ordered=True)
            else:
                lowest, highest = self.ranges[name]
                sampling = "log" if name in LOGARITHMIC else "linear"
                found.Float(name, lowest, highest, sampling=sampling)
        return found

    def to_json(self) -> dict[str, list[float]]:
        """Each parameter's [lowest, highest], or its choices."""
        return {name: list((self.ranges | self.choices)[name]) for name in self.names}  # type: ignore[operator]


def as_hyperparameters(space: Space, values: Values) -> dict[str, Any]:
    """The configuration of KerasTuner's HyperParameters with these values, as TFX's Tuner
    writes it and its Trainer hands it on."""
    found = space.hyperparameters()
    found.values = dict(values)
    config: dict[str, Any] = found.get_config()
    return config


def _short(value: float) -> float:
    if value == 0:
        return 0.0
    digits = SIGNIFICANT_DIGITS - 1 - math.floor(math.log10(abs(value)))
    return round(value, digits)
