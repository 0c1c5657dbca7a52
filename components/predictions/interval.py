"""A number and how sure it is."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Interval:
    """A value with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    def to_json(self) -> dict[str, float]:
        """Rounded to 6 places, so that text is the same on every machine."""
        return {key: round(number, 6) for key, number in dataclasses.asdict(self).items()}
