"""Numbers with their intervals, as plain types."""

from __future__ import annotations

import dataclasses
from typing import Annotated

from annotated_types import Ge, Le

Share = Annotated[float, Ge(0), Le(1)]
Count = Annotated[int, Ge(0)]
NonNegative = Annotated[float, Ge(0)]

# Numbers in files are rounded, because the last bits of a mean differ between machines.
DECIMALS = 6


@dataclasses.dataclass(frozen=True)
class Interval:
    """Value with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    def to_json(self) -> dict[str, float]:
        """Return the numbers as JSON values, rounded to DECIMALS places."""
        return {key: round(number, DECIMALS) for key, number in dataclasses.asdict(self).items()}


@dataclasses.dataclass(frozen=True)
class ShareInterval(Interval):
    """Share with its 95 % bootstrap interval, all between 0 and 1."""

    value: Share
    low: Share
    high: Share

    @classmethod
    def of(cls, found: Interval) -> ShareInterval:
        """Return an interval that is one of a share."""
        return cls(found.value, found.low, found.high)

    def rounded(self) -> ShareInterval:
        """Return a copy with DECIMALS places."""
        return ShareInterval(**self.to_json())
